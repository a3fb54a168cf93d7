# The quickstart: coarse steps of unet-cranium_small on data/sample, under a minute of one core. Its
# figures are a demonstration, not a claim.
# Prepare: cranium prepare --source data/sample --window hu --out work_dirs/quickstart/data
# Train:   mim train mmseg configs/unet-cranium_small_1xb8-300i_cranium-sample-96x80.py --work-dir work_dirs/quickstart
# Test:    mim test mmseg configs/unet-cranium_small_1xb8-300i_cranium-sample-96x80.py --checkpoint work_dirs/quickstart/iter_300.pth
_base_ = './unet-cranium_small_1xb8-1k_cranium-aligned-96x80.py'

data_root = 'work_dirs/quickstart/data'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader

max_iters = 300
linear, cosine = _base_.param_scheduler
param_scheduler = [linear, dict(cosine, end=max_iters)]
train_cfg = dict(max_iters=max_iters, val_interval=100)
default_hooks = dict(logger=dict(interval=25), checkpoint=dict(interval=max_iters))
