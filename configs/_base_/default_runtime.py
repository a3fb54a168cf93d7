# What every experiment of this project shares beyond mmseg's own runtime.
_base_ = 'mmseg::_base_/default_runtime.py'

randomness = dict(seed=0)
