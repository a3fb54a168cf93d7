# To try an idea: the coarse steps of unet-cranium_small alone, 5 minutes of one core.
# Prepare: cranium prepare --window hu
# Train:   mim train mmseg configs/unet-cranium_small_1xb8-1k_cranium-aligned-96x80.py
# Test:    mim test mmseg configs/unet-cranium_small_1xb8-1k_cranium-aligned-96x80.py --checkpoint work_dirs/unet-cranium_small_1xb8-1k_cranium-aligned-96x80/iter_1000.pth
_base_ = './unet-cranium_small_1xb8-8k_cranium-aligned-192x160.py'

align = dict(type='AlignHead', size=(96, 80), pixel_mm=2.088)
load_scan = dict(type='LoadScan', neighbors=1, shrink=4)
train_load = [dict(**load_scan, cache_slices=2048), _base_.load_mask]
train_pipeline = [
    _base_.paste,
    dict(**align, **_base_.augment),
    _base_.distort,
    _base_.window,
    _base_.pack,
]
test_pipeline = [load_scan, align, _base_.window, dict(type='LoadMask'), _base_.pack]
train_dataloader = dict(dataset=dict(load=train_load, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

max_iters = 1000
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=_base_.warmup, by_epoch=False),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-6,
        begin=_base_.warmup,
        end=max_iters,
        by_epoch=False,
    ),
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(checkpoint=dict(interval=max_iters))
