# mmseg's Swin-T with UPerNet (60 M parameters). ConvNeXt, which many would try first, is not in mmseg
# itself: its configs need mmpretrain. Swin-T is of the same size and kind, and needs nothing more.
# The backbone's ImageNet weights are downloaded; without: --cfg-options model.backbone.init_cfg=None
# Train: mim train mmseg configs/swin-tiny_upernet_1xb8-20k_cranium-512x512.py
# Test:  mim test mmseg configs/swin-tiny_upernet_1xb8-20k_cranium-512x512.py --checkpoint work_dirs/swin-tiny_upernet_1xb8-20k_cranium-512x512/iter_20000.pth
_base_ = [
    'mmseg::_base_/models/upernet_swin.py',
    '_base_/datasets/cranium_512x512.py',
    '_base_/default_runtime.py',
    '_base_/schedules/schedule_20k_adamw.py',
]

checkpoint = 'https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/swin/swin_tiny_patch4_window7_224_20220317-1cdeb081.pth'
model = dict(
    data_preprocessor=dict(size=(512, 512)),
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=checkpoint)),
    decode_head=dict(
        num_classes=2,
        # Cross-entropy alone hardly sees one pixel in a thousand.
        loss_decode=[
            dict(type='CrossEntropyLoss', loss_name='loss_ce'),
            dict(type='BatchDiceLoss', loss_name='loss_dice'),
        ],
    ),
    auxiliary_head=dict(num_classes=2),
)
train_dataloader = dict(batch_size=8)  # half of mmseg's, which is of eight GPUs with two each
