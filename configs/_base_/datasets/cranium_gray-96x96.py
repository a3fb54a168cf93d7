# The prepared slices, resized to 96x96, one gray channel, light augmentation: for a CPU.
_base_ = './cranium_512x512.py'

img_scale = (96, 96)
# The slices are seven times as large: interpolation between neighbours would leave noise.
train_pipeline = [
    dict(type='LoadImageFromFile', color_type='grayscale'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=img_scale, keep_ratio=False, interpolation='area'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', color_type='unchanged'),
    dict(type='GrayChannels', channels=1),
    dict(type='Resize', scale=img_scale, keep_ratio=False, interpolation='area'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(batch_size=8, num_workers=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=8, num_workers=1, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
