# 8000 iterations of AdamW, linear warm-up then cosine.
_base_ = './schedule_20k.py'

max_iters = 8000
warmup = 100
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=2e-3, weight_decay=0.01))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=warmup, by_epoch=False),
    dict(type='CosineAnnealingLR', eta_min=1e-6, begin=warmup, end=max_iters, by_epoch=False),
]
train_cfg = dict(max_iters=max_iters, val_interval=500)
default_hooks = dict(checkpoint=dict(interval=500))
