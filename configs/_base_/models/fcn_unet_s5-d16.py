# mmseg's UNet-FCN for two classes and whole images, without the auxiliary head. It keeps mmseg's
# normalisation for photographs, since the results table to compare with was made with it.
_base_ = 'mmseg::_base_/models/fcn_unet_s5-d16.py'

data_preprocessor = dict(size=(512, 512))
model = dict(
    data_preprocessor=data_preprocessor,
    decode_head=dict(num_classes=2),
    auxiliary_head=None,
    test_cfg=dict(_delete_=True, mode='whole'),
)
