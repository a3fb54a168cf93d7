# The recipe of mmseg's project, scaled down for a CPU: a quarter of the channels, of the pixels and of the batch.
# The other rates: optim_wrapper.optimizer.lr=0.001 and 0.0001; fewer steps: train_cfg.max_iters and param_scheduler.0.end.
# Train: mim train mmseg configs/fcn-unet-s5-d16-c16_unet_1xb4-0.01-20k_cranium-256x256.py
# Test:  mim test mmseg configs/fcn-unet-s5-d16-c16_unet_1xb4-0.01-20k_cranium-256x256.py --checkpoint work_dirs/fcn-unet-s5-d16-c16_unet_1xb4-0.01-20k_cranium-256x256/iter_20000.pth
_base_ = './fcn-unet-s5-d16_unet_1xb16-0.01-20k_cranium-512x512.py'

model = dict(
    data_preprocessor=dict(size=(256, 256)),
    backbone=dict(base_channels=16),
    decode_head=dict(in_channels=16, channels=16),
)
img_scale = (256, 256)
resize = dict(type='Resize', scale=img_scale, keep_ratio=False)
train_pipeline = [resize if step.type == 'Resize' else step for step in _base_.train_pipeline]
test_pipeline = [resize if step.type == 'Resize' else step for step in _base_.test_pipeline]
train_dataloader = dict(batch_size=4, num_workers=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

custom_hooks = [*_base_.custom_hooks, dict(type='ChannelsLastHook')]
default_hooks = dict(checkpoint=dict(interval=500))
