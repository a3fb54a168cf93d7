# Hounsfield units in head space, 0.522 mm to a pixel.
# Prepare: cranium prepare --window hu
_base_ = './cranium_aligned-192x160.py'

changed = dict(AlignHead=dict(size=(384, 320), pixel_mm=0.522), LoadScan=dict(shrink=1))
train_load = [
    dict(_base_.load_scan, shrink=1, cache_slices=256),  # 430 MB for each worker
    _base_.load_mask,
]
train_pipeline = [dict(step, **changed.get(step.type, {})) for step in _base_.train_pipeline]
test_pipeline = [dict(step, **changed.get(step.type, {})) for step in _base_.test_pipeline]
train_dataloader = dict(
    batch_size=16, num_workers=8, dataset=dict(load=train_load, pipeline=train_pipeline)
)
val_dataloader = dict(batch_size=16, num_workers=8, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
