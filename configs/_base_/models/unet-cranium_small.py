# A U-Net of 16 base channels (0.6 M parameters) for slices in head space.
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    type='AlignedEncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        # Three neighbouring slices in the brain window, three in the narrow one, one in the bone
        # window: of the slices of ct-ich.
        mean=[53.66, 53.66, 53.66, 43.5, 43.5, 43.5, 34.54],
        std=[83.21, 83.21, 83.21, 80.0, 80.0, 80.0, 43.85],
        size_divisor=16,
        pad_val=0,
        seg_pad_val=255,
    ),
    backbone=dict(type='AdditiveUNet', in_channels=7, base_channels=16, norm_cfg=norm_cfg),
    decode_head=dict(
        type='PriorFCNHead',
        in_channels=16,
        channels=16,
        in_index=-1,
        num_convs=0,
        concat_input=False,
        dropout_ratio=0.0,
        num_classes=2,
        norm_cfg=norm_cfg,
        loss_decode=[
            dict(type='CrossEntropyLoss', loss_name='loss_ce', loss_weight=3.0),
            dict(type='BatchDiceLoss', loss_weight=0.5),
            dict(type='SliceDiceLoss', loss_weight=0.5),
        ],
    ),
    auxiliary_head=dict(type='SliceHead', in_channels=128),
    train_cfg=dict(),
    # A head and its mirror image: the mean of both predictions. Log-odds of -2 and 4 are probabilities
    # of 0.12 and 0.98: trained on Dice per slice, the network is sure of itself.
    test_cfg=dict(mode='whole', flip=True, thresholds=(-2.0, 4.0)),
)
