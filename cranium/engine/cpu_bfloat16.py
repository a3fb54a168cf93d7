"""Training in bfloat16 on a CPU that computes in it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from mmseg.registry import OPTIM_WRAPPERS
from torch import nn


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
    to be scaled.
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
