# Train: mim train mmseg configs/fcn-unet-s5-d16_unet_1xb16-0.0001-20k_cranium-512x512.py
# Test:  mim test mmseg configs/fcn-unet-s5-d16_unet_1xb16-0.0001-20k_cranium-512x512.py --checkpoint work_dirs/fcn-unet-s5-d16_unet_1xb16-0.0001-20k_cranium-512x512/iter_20000.pth
_base_ = [
    '_base_/models/fcn_unet_s5-d16.py',
    '_base_/datasets/cranium_512x512.py',
    '_base_/default_runtime.py',
    '_base_/schedules/schedule_20k.py',
]

optim_wrapper = dict(optimizer=dict(lr=0.0001))
