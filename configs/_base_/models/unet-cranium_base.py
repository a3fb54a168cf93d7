# The same with twice the channels (2.5 M parameters), at twice the resolution.
_base_ = './unet-cranium_small.py'

model = dict(
    backbone=dict(base_channels=32),
    decode_head=dict(in_channels=32, channels=32),
    auxiliary_head=dict(in_channels=256),
)
