# Hounsfield units in head space, 0.36 mm to a pixel, as in ct-ich's slices.
# Prepare: cranium prepare --window hu
_base_ = './cranium_aligned-384x320.py'

fine = dict(AlignHead=dict(size=(544, 448), pixel_mm=0.36))
train_pipeline = [dict(step, **fine.get(step.type, {})) for step in _base_.train_pipeline]
test_pipeline = [dict(step, **fine.get(step.type, {})) for step in _base_.test_pipeline]
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=8, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
