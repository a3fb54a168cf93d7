# To try an idea: the coarse steps of unet-cranium_small alone, 5 minutes of one core.
# Prepare: cranium prepare --window hu
# Train:   mim train mmseg configs/unet-cranium_small_1xb8-1k_cranium-aligned-96x80.py
# Test:    mim test mmseg configs/unet-cranium_small_1xb8-1k_cranium-aligned-96x80.py --checkpoint work_dirs/unet-cranium_small_1xb8-1k_cranium-aligned-96x80/iter_1000.pth
_base_ = './unet-cranium_small_1xb8-8k_cranium-aligned-192x160.py'

changed = dict(AlignHead=dict(size=(96, 80), pixel_mm=2.088), LoadScan=dict(shrink=4))
train_load = [dict(_base_.load_scan, shrink=4, cache_slices=2048), _base_.load_mask]
train_pipeline = [dict(step, **changed.get(step.type, {})) for step in _base_.train_pipeline]
test_pipeline = [dict(step, **changed.get(step.type, {})) for step in _base_.test_pipeline]
train_dataloader = dict(dataset=dict(load=train_load, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

max_iters = 1000
linear, cosine = _base_.param_scheduler
param_scheduler = [linear, dict(cosine, end=max_iters)]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(checkpoint=dict(interval=max_iters))
