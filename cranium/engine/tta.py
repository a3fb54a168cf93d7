"""What ``mim test --tta`` finds in our configs."""

from typing import NoReturn

from mmseg.registry import MODELS

from cranium.errors import CraniumError


@MODELS.register_module()
def refuse_tta(**kwargs: object) -> NoReturn:
    """Say what to do in place of ``--tta``.

    mmseg averages probabilities there and leaves the logits of one view, from which scores and
    calibration would be computed, beside the masks of all.
    """
    raise CraniumError(
        '--tta: not for configs of Cranium; leave it out, for unet-cranium_* average a slice and '
        'its mirror image by themselves (model.test_cfg.flip)'
    )
