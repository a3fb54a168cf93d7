"""Gap 3: ``--launcher pytorch`` on a machine without CUDA.

Needed by: mmengine <= 0.10.7, whose launcher calls ``torch.cuda.set_device`` and whose runner gives
DistributedDataParallel a device number. Delete when ``mmengine.dist.init_dist`` and
``Runner.wrap_model`` know the CPU. On a machine with CUDA nothing happens.
"""

import multiprocessing
import os

import mmengine.runner.runner
import torch
from mmengine.dist import broadcast
from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm
from mmengine.registry import MODEL_WRAPPERS
from torch import distributed, nn


class CPUDistributedDataParallel(MMDistributedDataParallel):
    """DistributedDataParallel without a device, on gloo.

    SyncBN exists for CUDA only, so it becomes BN. Each process then has its own running statistics;
    validation uses those of the first process, which are the ones that its checkpoint holds.

    Args:
        module (nn.Module): The model, on the CPU.
        device_ids (list, optional): Ignored: what mmengine's runner passes is a GPU's number.
        **kwargs: Passed to ``MMDistributedDataParallel``.
    """

    def __init__(self, module: nn.Module, device_ids: list | None = None, **kwargs) -> None:
        super().__init__(revert_sync_batchnorm(module), device_ids=None, **kwargs)

    def train(self, mode: bool = True) -> 'CPUDistributedDataParallel':
        """Set the mode; on the way into evaluation give all processes the first one's buffers."""
        if self.training and not mode:
            for buffer in self.module.buffers():
                broadcast(buffer, src=0)
        return super().train(mode)


def init_gloo() -> bool:
    """Initialise the process group with gloo if a launcher started this process and CUDA is absent.

    mmengine skips its own initialisation when it finds one done. Worker processes of a data loader
    inherit the launcher's variables and must not join.

    Returns:
        bool: Whether this call initialised the process group.
    """
    launched = {'RANK', 'WORLD_SIZE'} <= os.environ.keys()
    is_worker = multiprocessing.parent_process() is not None
    if not launched or is_worker or torch.cuda.is_available() or distributed.is_initialized():
        return False
    distributed.init_process_group('gloo')
    mmengine.runner.runner.MMDistributedDataParallel = CPUDistributedDataParallel
    MODEL_WRAPPERS.register_module(
        name='MMDistributedDataParallel', module=CPUDistributedDataParallel, force=True
    )
    return True
