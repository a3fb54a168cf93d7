"""A training loop that goes on after a kill as if nothing had happened."""

from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.runner import IterBasedTrainLoop, Runner
from mmengine.runner.base_loop import BaseLoop
from mmseg.registry import LOOPS
from torch.utils.data import DataLoader

SEED = 'sampler_seed'  # its key in mmengine's message hub, which checkpoints hold


class _Deferred:
    """A data loader that starts its workers when the first batch is asked for.

    mmengine's loop iterates its data loader as it is built, before it knows of the checkpoint to
    resume from, and workers would begin to load from the first draw.
    """

    def __init__(self, loader: DataLoader[Any]) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[Any]:
        yield from self.loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)


@LOOPS.register_module()
class ResumableTrainLoop(IterBasedTrainLoop):
    """mmengine's iteration-based loop, in which a resumed training equals an undisturbed one.

    mmengine loads and throws away every batch up to the iteration that it resumes from. Where the
    sampler has ``start`` (``BalancedSampler``), this loop sets it instead, tells the sampler the
    length of the training, and keeps its seed in the checkpoint.

    What the network draws at random (dropout) is seeded in each iteration from the runner's seed,
    the iteration and the process; otherwise it would depend on whatever else drew before, as on
    each validation.
    """

    dataloader: Any
    dataloader_iterator: Any

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader[Any] | dict[str, Any],
        *args: Any,
        **kwargs: Any,
    ) -> None:
        BaseLoop.__init__(self, runner, dataloader)
        loader = self.dataloader
        super().__init__(runner, _Deferred(loader), *args, **kwargs)
        self.dataloader = loader

    def run(self) -> Any:
        """Train, from the first draw that the checkpoint has not seen."""
        sampler = self.dataloader.sampler
        if hasattr(sampler, 'start'):
            hub = self.runner.message_hub
            sampler.max_iters = self.max_iters
            sampler.draws_per_iter = self.dataloader.batch_size * get_world_size()
            if self._iter > 0:
                sampler.seed = hub.get_info(SEED, sampler.seed)
                sampler.start = self._iter * sampler.draws_per_iter
                # These are the steps by which mmengine "advances" the data loader.
                self.dataloader_iterator = chain(repeat(None, self._iter), self.dataloader_iterator)
            hub.update_info(SEED, sampler.seed)
        return super().run()

    def run_iter(self, data_batch: Sequence[dict[str, Any]]) -> None:
        """Make one iteration with a batch."""
        sequence = np.random.SeedSequence((self.runner.seed, self._iter, get_rank()))
        seed = int(sequence.generate_state(1, np.uint64)[0])
        # What torch.manual_seed does, less what takes it half a millisecond where no GPU is.
        torch.default_generator.manual_seed(seed)
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.manual_seed(seed)
        super().run_iter(data_batch)
