# The same with three times the channels (5.6 M parameters), at the resolution of the slices. Batches
# of 8 GPUs are normalised together; on a CPU SyncBN becomes BN.
_base_ = './unet-cranium_small.py'

norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    backbone=dict(base_channels=48, norm_cfg=norm_cfg),
    decode_head=dict(in_channels=48, channels=48, norm_cfg=norm_cfg),
    auxiliary_head=dict(in_channels=384),
)
