"""What ``mim test --tta`` finds in our configs."""

from typing import NoReturn

from mmseg.registry import MODELS

from cranium.errors import CraniumError


@MODELS.register_module()
def refuse_tta(**kwargs: object) -> NoReturn:
    """Refuse what would give the masks of all views and, for scores, the logits of a single one."""
    raise CraniumError(
        '--tta: not for configs of Cranium; leave it out, for unet-cranium_* average a slice and '
        'its mirror image by themselves (model.test_cfg.flip)'
    )
