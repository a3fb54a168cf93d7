# Hounsfield units in head space, 1.044 mm to a pixel.
# Prepare: cranium prepare --window hu
_base_ = './cranium_512x512.py'

align = dict(type='AlignHead', size=(192, 160), pixel_mm=1.044)
pack = dict(
    type='PackSegInputs',
    meta_keys=('img_path', 'seg_map_path', 'ori_shape', 'img_shape', 'head_to_slice_affine'),
)
augment = dict(
    flip_prob=0.5,
    rotate_deg=7.0,
    scale=0.08,
    shear=0.04,
    shift_mm=3.24,
    elastic_mm=3.24,
    elastic_prob=0.6,
    coverage=(0.05, 0.95),
)
load_scan = dict(type='LoadScan', neighbors=1)
load_mask = dict(type='LoadMask', cache=True)
paste = dict(type='PasteHemorrhage', contrast_prob=0.5)
distort = dict(type='DistortHU', lone_prob=0.2)
# The channels of the network: three slices in the brain window and in a narrow one, which shows faint
# bleeds; the middle one in the bone window.
window = dict(
    type='WindowCT',
    views=[
        dict(level=40, width=120),
        dict(level=50, width=70),
        dict(level=700, width=3200, planes='range'),
    ],
)
train_load = [
    # Three quarters of the iterations, which take a quarter of the time of the others.
    dict(type='ProgressiveResizing', share=0.75),
    dict(**load_scan, cache_slices=2048),  # 870 MB
    load_mask,
]
train_pipeline = [paste, dict(**align, **augment), distort, window, pack]
# The mask after AlignHead: predictions are compared with it on its own grid.
test_pipeline = [
    # mmseg's inference looks for this step, and puts a loader of arrays in its place.
    dict(type='LoadImageFromFile', color_type='unchanged'),
    load_scan,
    align,
    window,
    dict(type='LoadMask'),
    pack,
]
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    sampler=dict(_delete_=True, type='BalancedSampler', hemorrhage_share=0.5),
    dataset=dict(load=train_load, pipeline=train_pipeline),
)
val_dataloader = dict(batch_size=8, num_workers=1, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
# Hemorrhage goes on from slice to slice.
val_evaluator = dict(score_smoothing=1.0)
test_evaluator = dict(score_smoothing=1.0)
