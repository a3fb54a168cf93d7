# Brain and bone window in the frame of the head, 2.9 pixels of a slice to one of the frame.
# Prepare: python tools/prepare_dataset.py --window brain-bone
_base_ = './cranium_512x512.py'

head_frame = dict(type='AlignHead', size=(192, 160), spacing=2.9)
pack = dict(
    type='PackSegInputs', meta_keys=('img_path', 'seg_map_path', 'ori_shape', 'img_shape', 'frame')
)
# Lengths are in pixels of the slice.
augment = dict(
    flip_prob=0.5,
    rotate=7.0,
    scale=0.08,
    shear=0.04,
    shift=9.0,
    elastic=9.0,
    elastic_prob=0.6,
    coverage=(0.05, 0.95),
)
before_frame = [dict(type='LoadMask', cache=True), dict(type='PasteHemorrhage', prob=1.0)]
after_frame = [dict(type='DistortWindow'), pack]
train_pipeline = [
    # 6000 of the 8000 steps of 8: they take a quarter of the time of the others.
    dict(type='CoarseFirst', draws=48000),
    dict(type='LoadScan', neighbors=1, cache_slices=2048),  # 430 MB
    *before_frame,
    dict(**head_frame, **augment),
    *after_frame,
]
# The mask after AlignHead: predictions are compared with it on its own grid.
after_frame_test = [dict(type='LoadMask'), pack]
test_pipeline = [dict(type='LoadScan', neighbors=1), head_frame, *after_frame_test]
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    sampler=dict(_delete_=True, type='BalancedSampler', hemorrhage_share=0.5),
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(batch_size=8, num_workers=1, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
# Hemorrhage goes on from slice to slice.
val_evaluator = dict(score_smoothing=1.0)
test_evaluator = dict(score_smoothing=1.0)
