"""What options of mim turn on in our configs: bfloat16 on a CPU; and not ``--tta``."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import torch
from mmengine.optim import OptimWrapper
from mmseg.registry import MODELS, OPTIM_WRAPPERS
from torch import nn

from cranium.errors import CraniumError


def computes_bfloat16() -> bool:
    """Tell whether this CPU has instructions for bfloat16; without, PyTorch is many times slower.

    An old PyTorch, which cannot tell, gives False.
    """
    capabilities: dict[str, bool] = getattr(torch.cpu, 'get_capabilities', dict)()
    return any(capabilities.get(name, False) for name in ('avx512_bf16', 'amx_bf16'))


@OPTIM_WRAPPERS.register_module()
class CPUBfloat16OptimWrapper(OptimWrapper):
    """The forward pass under autocast to bfloat16, where the CPU has instructions for it.

    mmengine's AmpOptimWrapper is for GPUs only. bfloat16 has the range of float32, so no loss has
    to be scaled. ``--cfg-options optim_wrapper.type=CPUBfloat16OptimWrapper``
    """

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.enabled = computes_bfloat16()

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Enclose a forward pass of a model."""
        autocast = torch.autocast('cpu', torch.bfloat16, enabled=self.enabled)
        with super().optim_context(model), autocast:
            yield


@MODELS.register_module()
def refuse_tta(**kwargs: object) -> NoReturn:
    """Refuse what would give the masks of all views and, for scores, the logits of a single one."""
    raise CraniumError(
        '--tta: not for configs of Cranium; leave it out, for unet-cranium_* average a slice and '
        'its mirror image by themselves (model.test_cfg.flip)'
    )
