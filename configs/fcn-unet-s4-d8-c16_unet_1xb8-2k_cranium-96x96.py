# For a CPU, under an hour on two cores.
# Train: mim train mmseg configs/fcn-unet-s4-d8-c16_unet_1xb8-2k_cranium-96x96.py
# Test:  mim test mmseg configs/fcn-unet-s4-d8-c16_unet_1xb8-2k_cranium-96x96.py --checkpoint work_dirs/fcn-unet-s4-d8-c16_unet_1xb8-2k_cranium-96x96/iter_2000.pth
_base_ = [
    '_base_/models/fcn_unet_s4-d8-c16.py',
    '_base_/datasets/cranium_gray-96x96.py',
    '_base_/default_runtime.py',
    '_base_/schedules/schedule_2k_adamw.py',
]
