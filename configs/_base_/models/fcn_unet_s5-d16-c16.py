# The same network with 16 instead of 64 base channels (1.8 M parameters) and one gray channel.
_base_ = './fcn_unet_s5-d16.py'

model = dict(
    data_preprocessor=dict(size=None, size_divisor=16, mean=[40.0], std=[60.0], bgr_to_rgb=False),
    backbone=dict(in_channels=1, base_channels=16),
    decode_head=dict(in_channels=16, channels=16),
)
