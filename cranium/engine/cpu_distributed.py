"""Gap 3: ``--launcher pytorch`` on a machine without CUDA.

Needed by: mmengine <= 0.10.7, whose launcher calls ``torch.cuda.set_device`` and whose runner gives
DistributedDataParallel a device number. Delete when ``mmengine.dist.init_dist`` and
``Runner.wrap_model`` know the CPU. On a machine with CUDA nothing happens.
"""

from typing import Any

import mmengine.dist
import mmengine.runner.runner
import torch
from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm
from mmengine.registry import MODEL_WRAPPERS
from torch import distributed, nn


class CPUDistributedDataParallel(MMDistributedDataParallel):
    """DistributedDataParallel on gloo; ``device_ids``, a GPU's number by mmengine, is ignored.

    SyncBN exists for CUDA only, so it becomes BN. Each process then has its own running statistics;
    validation uses those of the first process, which are the ones that its checkpoint holds.
    """

    def __init__(
        self, module: nn.Module, device_ids: list[int] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(revert_sync_batchnorm(module), device_ids=None, **kwargs)

    def train(self, mode: bool = True) -> 'CPUDistributedDataParallel':
        """Set the mode; on the way into evaluation give all processes the first one's buffers."""
        if self.training and not mode:
            for buffer in self.module.buffers():
                mmengine.dist.broadcast(buffer, src=0)
        super().train(mode)
        return self


def init_dist(launcher: str, *args: Any, **kwargs: Any) -> None:
    """Join the process group as a runner starts: with gloo where there is no CUDA."""
    if launcher != 'pytorch' or torch.cuda.is_available():
        mmengine.dist.init_dist(launcher, *args, **kwargs)
        return
    distributed.init_process_group('gloo')
    mmengine.runner.runner.MMDistributedDataParallel = CPUDistributedDataParallel
    MODEL_WRAPPERS.register_module(
        name='MMDistributedDataParallel', module=CPUDistributedDataParallel, force=True
    )


def teach_runner() -> None:
    """Let mmengine's runner join by :func:`init_dist`; nothing is joined before one starts."""
    mmengine.runner.runner.init_dist = init_dist
