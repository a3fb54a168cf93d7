# For 8 GPUs, 8 slices each, in bfloat16. Not yet run on them: its figures are open.
# The learning rate is that of *base* times the square root of the batch's ratio, 64 to 16, as Adam's
# steps do not grow with the gradient; with other GPUs scale it likewise.
# Prepare: cranium prepare --window hu
# Train:   mim train mmseg configs/unet-cranium_large_8xb8-20k_cranium-aligned-544x448.py --launcher pytorch --gpus 8
# Test:    mim test mmseg configs/unet-cranium_large_8xb8-20k_cranium-aligned-544x448.py --checkpoint work_dirs/unet-cranium_large_8xb8-20k_cranium-aligned-544x448/iter_20000.pth
_base_ = [
    '_base_/models/unet-cranium_large.py',
    '_base_/datasets/cranium_aligned-544x448.py',
    '_base_/default_runtime.py',
    '_base_/schedules/schedule_20k_adamw-cosine-amp.py',
]

optim_wrapper = dict(optimizer=dict(lr=4e-3))
