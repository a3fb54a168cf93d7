# A UNet-FCN for a CPU: four stages of 16 base channels (0.45 M parameters), one gray channel.
_base_ = './fcn_unet_s5-d16.py'

model = dict(
    data_preprocessor=dict(
        size=None,
        size_divisor=8,
        # Brain window, training slices, by `cranium statistics`.
        mean=[53.56],
        std=[83.28],
        bgr_to_rgb=False,
    ),
    backbone=dict(
        in_channels=1,
        base_channels=16,
        num_stages=4,
        strides=(1, 1, 1, 1),
        enc_num_convs=(2, 2, 2, 2),
        dec_num_convs=(2, 2, 2),
        downsamples=(True, True, True),
        enc_dilations=(1, 1, 1, 1),
        dec_dilations=(1, 1, 1),
    ),
    decode_head=dict(
        in_channels=16,
        in_index=3,
        channels=16,
        dropout_ratio=0.0,  # it drops whole channels, of which there are few
        # One pixel in a thousand is hemorrhage. Without the weight a short training never leaves the
        # background; without Lovasz the weight alone makes it see hemorrhage everywhere.
        loss_decode=[
            dict(type='CrossEntropyLoss', loss_name='loss_ce', class_weight=[1.0, 500.0]),
            dict(type='LovaszLoss', loss_name='loss_lovasz', reduction='none'),
        ],
    ),
)
