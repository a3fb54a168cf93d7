# For a CPU or a laptop: half an hour of one core, three quarters of its steps coarse.
# Prepare: cranium prepare --window hu
# Train:   mim train mmseg configs/unet-cranium_small_1xb8-8k_cranium-aligned-192x160.py
# Test:    mim test mmseg configs/unet-cranium_small_1xb8-8k_cranium-aligned-192x160.py --checkpoint work_dirs/unet-cranium_small_1xb8-8k_cranium-aligned-192x160/iter_8000.pth
_base_ = [
    '_base_/models/unet-cranium_small.py',
    '_base_/datasets/cranium_aligned-192x160.py',
    '_base_/default_runtime.py',
    '_base_/schedules/schedule_8k_adamw-cosine.py',
]
