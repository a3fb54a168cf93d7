# The recipe of mmseg's project, scaled down for a CPU: an eighth of the channels, a sixteenth of the
# pixels, a twentieth of the steps. The other rates: optim_wrapper.optimizer.lr=0.001 and 0.0001.
# Train: mim train mmseg configs/fcn-unet-s5-d16-c8_unet_1xb16-0.01-1k_cranium-128x128.py
# Test:  mim test mmseg configs/fcn-unet-s5-d16-c8_unet_1xb16-0.01-1k_cranium-128x128.py --checkpoint work_dirs/fcn-unet-s5-d16-c8_unet_1xb16-0.01-1k_cranium-128x128/iter_1000.pth
_base_ = './fcn-unet-s5-d16_unet_1xb16-0.01-20k_cranium-512x512.py'

model = dict(
    data_preprocessor=dict(size=(128, 128)),
    backbone=dict(base_channels=8),
    decode_head=dict(in_channels=8, channels=8),
)
img_scale = (128, 128)
resize = dict(type='Resize', scale=img_scale, keep_ratio=False)
train_pipeline = [resize if step.type == 'Resize' else step for step in _base_.train_pipeline]
test_pipeline = [resize if step.type == 'Resize' else step for step in _base_.test_pipeline]
train_dataloader = dict(num_workers=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

max_iters = 1000
param_scheduler = [
    dict(type='PolyLR', eta_min=1e-4, power=0.9, begin=0, end=max_iters, by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(checkpoint=dict(interval=250))
