# What every experiment of this project shares beyond mmseg's own runtime.
_base_ = 'mmseg::_base_/default_runtime.py'

custom_imports = dict(imports=['cranium.register'])
randomness = dict(seed=0)

custom_hooks = [
    dict(type='ThreadsHook'),
    dict(type='RecordTrainingHook'),
    dict(type='StopOnInvalidLossHook'),
    dict(type='ResumeLearningRateHook'),
    dict(type='CurvesHook'),
    dict(type='DrawPredictionsHook'),
]
# `--cfg-options visualizer.tensorboard=True` adds TensorBoard.
visualizer = dict(type='CraniumVisualizer', tensorboard=False)
# `mim test --tta`
tta_model = dict(type='refuse_tta')
tta_pipeline = []
