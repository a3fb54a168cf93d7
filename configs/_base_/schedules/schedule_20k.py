# mmseg's 20k iterations. Kept are the last two checkpoints and the best one, by the Dice that is quoted.
_base_ = 'mmseg::_base_/schedules/schedule_20k.py'

# Goes on after a kill as if nothing had happened.
train_cfg = dict(type='ResumableTrainLoop')
default_hooks = dict(
    checkpoint=dict(max_keep_ckpts=2, save_best='patient/authors_dice', rule='greater'),
    # What `mim test --show-dir` draws.
    visualization=dict(_delete_=True, type='DrawSlicesHook'),
)
