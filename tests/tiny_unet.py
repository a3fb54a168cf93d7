# A small network with quick steps, for tests that train.
_base_ = '../configs/fcn-unet-s4-d8-c16_unet_1xb8-2k_cranium-96x96.py'

max_iters = 400
model = dict(
    backbone=dict(base_channels=8),
    decode_head=dict(
        in_channels=8,
        channels=8,
        # The sample holds five times the hemorrhage of the whole data set.
        loss_decode=[
            dict(type='CrossEntropyLoss', loss_name='loss_ce', class_weight=[1.0, 100.0]),
            dict(type='LovaszLoss', loss_name='loss_lovasz', reduction='none'),
        ],
    ),
)
param_scheduler = [
    dict(type='PolyLR', eta_min=1e-5, power=0.9, begin=0, end=max_iters, by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=100)
default_hooks = dict(logger=dict(interval=25), checkpoint=dict(interval=100))
