# 8000 iterations of AdamW, linear warm-up then cosine; the average of the weights is what is kept.
_base_ = './schedule_20k.py'

max_iters = 8000
warmup = 100
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=2e-3, weight_decay=0.01))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=warmup, by_epoch=False),
    dict(type='CosineAnnealingLR', eta_min=1e-6, begin=warmup, end=max_iters, by_epoch=False),
]
train_cfg = dict(max_iters=max_iters, val_interval=500)
default_hooks = dict(
    checkpoint=dict(interval=500),
    # The weights averaged over some 200 iterations are validated, tested and saved. At first the
    # average is over fewer, or it would hold the random start for long.
    ema=dict(
        type='EMAHook',
        ema_type='MomentumAnnealingEMA',
        momentum=0.005,
        gamma=10,
        update_buffers=True,
    ),
)
