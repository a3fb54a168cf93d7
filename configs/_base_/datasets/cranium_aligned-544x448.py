# Hounsfield units in head space, 0.36 mm to a pixel, as in ct-ich's slices.
# Prepare: cranium prepare --window hu
_base_ = './cranium_aligned-192x160.py'

align = dict(type='AlignHead', size=(544, 448), pixel_mm=0.36)
load_scan = dict(type='LoadScan', neighbors=1, shrink=1)
train_load = [dict(**load_scan, cache_slices=256), _base_.load_mask]  # 430 MB for each worker
train_pipeline = [
    _base_.paste,
    dict(**align, **_base_.augment),
    _base_.distort,
    _base_.window,
    _base_.pack,
]
test_pipeline = [load_scan, align, _base_.window, dict(type='LoadMask'), _base_.pack]
train_dataloader = dict(
    batch_size=8, num_workers=8, dataset=dict(load=train_load, pipeline=train_pipeline)
)
val_dataloader = dict(batch_size=8, num_workers=8, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
