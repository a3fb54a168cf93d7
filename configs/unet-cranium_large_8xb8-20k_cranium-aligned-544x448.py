# For 8 GPUs, 8 slices each, in bfloat16. Not yet run on them: its figures are open.
# The learning rate is that of *base* times the square root of the batch's ratio, 64 to 16, as Adam's
# steps do not grow with the gradient; with other GPUs scale it likewise.
# Prepare: python tools/prepare_dataset.py --window brain-bone
# Train:   mim train mmseg configs/unet-cranium_large_8xb8-20k_cranium-aligned-544x448.py --launcher pytorch --gpus 8
# Test:    mim test mmseg configs/unet-cranium_large_8xb8-20k_cranium-aligned-544x448.py --checkpoint work_dirs/unet-cranium_large_8xb8-20k_cranium-aligned-544x448/iter_20000.pth
_base_ = [
    '_base_/models/unet-cranium_large.py',
    '_base_/datasets/cranium_aligned-544x448.py',
    '_base_/default_runtime.py',
    '_base_/schedules/schedule_1500i_adamw-cosine.py',
]

max_iters = 20000
warmup = 500
# bfloat16 has the range of float32, so no loss has to be scaled; on a GPU without it, float16.
optim_wrapper = dict(type='AmpOptimWrapper', dtype='bfloat16', optimizer=dict(lr=4e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=warmup, by_epoch=False),
    dict(type='CosineAnnealingLR', eta_min=1e-6, begin=warmup, end=max_iters, by_epoch=False),
]
train_cfg = dict(max_iters=max_iters, val_interval=2000)
default_hooks = dict(checkpoint=dict(interval=2000))

custom_hooks = [
    *_base_.custom_hooks,
    dict(
        type='EMAHook',
        ema_type='MomentumAnnealingEMA',
        momentum=0.001,
        gamma=10,
        update_buffers=True,
    ),
]
