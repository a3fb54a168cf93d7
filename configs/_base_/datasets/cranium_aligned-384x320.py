# Brain and bone window in the frame of the head, 1.45 pixels of a slice to one of the frame.
# Prepare: python tools/prepare_dataset.py --window brain-bone
_base_ = './cranium_aligned-192x160.py'

head_frame = dict(type='AlignHead', size=(384, 320), spacing=1.45)
train_pipeline = [
    dict(type='LoadScan', neighbors=1, shrink=1, cache_slices=512),  # 430 MB for each worker
    *_base_.before_frame,
    dict(**head_frame, **_base_.augment),
    *_base_.after_frame,
]
test_pipeline = [dict(type='LoadScan', neighbors=1, shrink=1), head_frame, *_base_.after_frame_test]
train_dataloader = dict(batch_size=16, num_workers=8, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=16, num_workers=8, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
