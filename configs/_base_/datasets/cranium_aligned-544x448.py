# Brain and bone window in the frame of the head, at the resolution of the slices.
# Prepare: python tools/prepare_dataset.py --window brain-bone
_base_ = './cranium_aligned-192x160.py'

head_frame = dict(type='AlignHead', size=(544, 448), spacing=1.0)
train_pipeline = [
    dict(type='LoadScan', neighbors=1, shrink=1, cache_slices=512),  # 430 MB for each worker
    dict(type='LoadAnnotations', imdecode_backend='cv2'),
    dict(type='PasteHemorrhage', shift=8.0),
    dict(
        **head_frame,
        flip_prob=0.5,
        rotate=7.0,
        scale=0.08,
        shear=0.04,
        shift=9.0,
        elastic=9.0,
        elastic_prob=0.6,
    ),
    dict(type='DistortWindow'),
    dict(type='AddHeadChannels', smooth=7.0),
    _base_.pack,
]
test_pipeline = [
    dict(type='LoadScan', neighbors=1, shrink=1),
    dict(**head_frame),
    dict(type='AddHeadChannels', smooth=7.0),
    dict(type='LoadAnnotations', imdecode_backend='cv2'),
    _base_.pack,
]
train_dataloader = dict(batch_size=8, num_workers=8, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=8, num_workers=8, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
