# 2000 iterations of AdamW.
_base_ = './schedule_20k.py'

max_iters = 2000
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=3.5e-3, weight_decay=0.01))
param_scheduler = [
    dict(type='PolyLR', eta_min=1e-5, power=0.9, begin=0, end=max_iters, by_epoch=False)
]
train_cfg = dict(max_iters=max_iters, val_interval=500)
default_hooks = dict(checkpoint=dict(interval=500))
