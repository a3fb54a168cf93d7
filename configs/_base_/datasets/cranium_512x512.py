# The prepared slices, resized to 512x512, three equal channels as the RGB images of mmseg's project.
dataset_type = 'CraniumDataset'
data_root = 'data/'
img_scale = (512, 512)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=img_scale, keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', color_type='unchanged'),
    dict(type='GrayChannels', channels=3),
    dict(type='Resize', scale=img_scale, keep_ratio=False),
    # After Resize: predictions are compared with the mask on its own grid.
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    # As InfiniteSampler shuffles, but a resumed training goes on where it was.
    sampler=dict(type='BalancedSampler', hemorrhage_share=None),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='images/train', seg_map_path='masks/train'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='images/val', seg_map_path='masks/val'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type='HemorrhageMetric')
# Every figure with its interval, in <work_dir>/evaluation/.
test_evaluator = dict(type='HemorrhageMetric', report=True)
