# Train: mim train mmseg configs/fcn-unet-s5-d16_unet_1xb16-0.0001-20k_cranium-512x512.py
# Test:  mim test mmseg configs/fcn-unet-s5-d16_unet_1xb16-0.0001-20k_cranium-512x512.py --checkpoint work_dirs/fcn-unet-s5-d16_unet_1xb16-0.0001-20k_cranium-512x512/iter_20000.pth
_base_ = './fcn-unet-s5-d16_unet_1xb16-0.01-20k_cranium-512x512.py'

optim_wrapper = dict(optimizer=dict(lr=0.0001))
