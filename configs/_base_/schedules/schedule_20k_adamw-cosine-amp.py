# The same on a GPU: 20k iterations, and the average over some 1000.
_base_ = './schedule_8k_adamw-cosine.py'

max_iters = 20000
warmup = 500
# bfloat16 has the range of float32, so no loss has to be scaled; a GPU without it needs
# `optim_wrapper.dtype=float16` after `--cfg-options`.
optim_wrapper = dict(type='AmpOptimWrapper', dtype='bfloat16', optimizer=dict(lr=2e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=warmup, by_epoch=False),
    dict(type='CosineAnnealingLR', eta_min=1e-6, begin=warmup, end=max_iters, by_epoch=False),
]
train_cfg = dict(max_iters=max_iters, val_interval=2000)
default_hooks = dict(checkpoint=dict(interval=2000), ema=dict(momentum=0.001))
