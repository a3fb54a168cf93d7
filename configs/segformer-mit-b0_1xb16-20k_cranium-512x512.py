# mmseg's SegFormer, the smallest (3.7 M parameters). The backbone's ImageNet weights are downloaded;
# without: --cfg-options model.backbone.init_cfg=None
# Train: mim train mmseg configs/segformer-mit-b0_1xb16-20k_cranium-512x512.py
# Test:  mim test mmseg configs/segformer-mit-b0_1xb16-20k_cranium-512x512.py --checkpoint work_dirs/segformer-mit-b0_1xb16-20k_cranium-512x512/iter_20000.pth
_base_ = [
    'mmseg::_base_/models/segformer_mit-b0.py',
    '_base_/datasets/cranium_512x512.py',
    '_base_/default_runtime.py',
    '_base_/schedules/schedule_20k_adamw.py',
]

checkpoint = 'https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segformer/mit_b0_20220624-7e0fe6dd.pth'
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
)
# The head starts from random weights.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'head': dict(lr_mult=10.0)}))
