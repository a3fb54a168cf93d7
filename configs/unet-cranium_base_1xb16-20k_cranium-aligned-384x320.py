# For one GPU, in bfloat16 and channels last. Not yet run on one: its figures are open.
# Prepare: cranium prepare --window hu
# Train:   mim train mmseg configs/unet-cranium_base_1xb16-20k_cranium-aligned-384x320.py
# Test:    mim test mmseg configs/unet-cranium_base_1xb16-20k_cranium-aligned-384x320.py --checkpoint work_dirs/unet-cranium_base_1xb16-20k_cranium-aligned-384x320/iter_20000.pth
_base_ = [
    '_base_/models/unet-cranium_base.py',
    '_base_/datasets/cranium_aligned-384x320.py',
    '_base_/default_runtime.py',
    '_base_/schedules/schedule_20k_adamw-cosine-amp.py',
]
