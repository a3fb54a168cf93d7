"""How long a step of training takes in variants, and how much of a step is waiting for data."""

import copy
import ctypes
import logging
import os
import tempfile
import time
from collections import ChainMap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.dist import get_backend, get_world_size
from mmengine.logging import MMLogger
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.registry import DATASETS, MODELS
from mmseg.structures import SegDataSample

# The default is the config's own network in float32; the others are compared with it.
DEFAULT = 'default'
PARTS: dict[str, dict[str, Any]] = {
    'channels_last': dict(channels_last=True),
    'bf16': dict(dtype='bfloat16'),
    'fp16': dict(dtype='float16'),
    'compile': dict(compile=True),
}
VARIANTS = (*PARTS, 'channels_last+bf16', 'channels_last+fp16', 'channels_last+bf16+compile')
STATUS, CLEAR = Path('/proc/self/status'), Path('/proc/self/clear_refs')
MIB = 2**20


class Step:
    """One step of training, called again and again: forward, backward and optimizer.

    Args:
        config (Config): Its ``model`` is built with random weights, and its optimizer.
        batch (dict): What the data loader gives.
        channels_last (bool): Whether weights and images lie in memory with channels last.
        dtype (str, optional): The type to which the forward pass is autocast; with ``'float16'``
            the loss is scaled, by mmengine's AmpOptimWrapper, which is for GPUs only. Defaults to
            None: none.
        compile (bool): Whether the forward pass goes through ``torch.compile``, as mmengine's
            ``compile=True`` has it.
    """

    def __init__(
        self,
        config: Config,
        batch: dict,
        channels_last: bool = False,
        dtype: str | None = None,
        compile: bool = False,
    ) -> None:
        torch.manual_seed(0)
        # In one process nothing is to be synchronized, and a CPU cannot.
        model = revert_sync_batchnorm(MODELS.build(config.model)).to(get_device()).train()
        if channels_last:
            model = model.to(memory_format=torch.channels_last)
        # Not its type: AMP is one of the variants.
        keys = ('optimizer', 'paramwise_cfg', 'clip_grad', 'constructor')
        optimizer = {key: config.optim_wrapper[key] for key in keys if key in config.optim_wrapper}
        if dtype == 'float16':
            optimizer |= dict(type='AmpOptimWrapper', dtype=dtype, loss_scale='dynamic')
        with _quiet():
            self.optim_wrapper = build_optim_wrapper(model, dict(type='OptimWrapper') | optimizer)
        self.model, self.batch = model, batch
        self.channels_last, self.dtype = channels_last, dtype
        self.forward = torch.compile(model.forward) if compile else model.forward

    def __call__(self) -> float:
        """Make the step and wait until the device is done with it; return its loss."""
        dtype = getattr(torch, self.dtype or 'bfloat16')
        with torch.autocast(get_device(), dtype, enabled=self.dtype is not None):
            # Transforms of the batch may write into it.
            data = self.model.data_preprocessor(copy.deepcopy(self.batch), True)
            if self.channels_last:
                data['inputs'] = data['inputs'].contiguous(memory_format=torch.channels_last)
            losses = self.forward(**data, mode='loss')
        loss, _ = self.model.parse_losses(losses)
        self.optim_wrapper.update_params(loss)
        return loss.item()


def compare_steps(
    config: str | Path,
    steps: int = 10,
    source: str | Path | None = None,
    size: Sequence[int] | None = None,
    variants: Sequence[str] = VARIANTS,
) -> list[dict[str, str]]:
    """Time steps of training in variants, one step of each in turn, on the GPU if there is one.

    All see the same batch, of the config's batch size. Two steps of each, in which memory is
    allocated and code compiled, do not count.

    Args:
        config (str | Path): A config.
        steps (int): How many of each variant count. Defaults to 10.
        source (str | Path, optional): The prepared tree. Defaults to None: the config's own.
        size (Sequence[int], optional): Height and width of noise to train on in place of slices.
            Defaults to None.
        variants (Sequence[str]): To be compared with the default: names out of ``PARTS``, of which
            ``+`` joins several. Defaults to ``VARIANTS``.

    Returns:
        list[dict[str, str]]: A table: for each variant the median seconds per step; the seconds of
        the default divided by its own, as median and range over the steps; and how far memory
        rises in a step above what was held before (weights, the optimizer's state). On a CPU that
        is of the whole process, and only known on Linux. A variant that does not run here has
        the error in place of the seconds.

    Raises:
        FileNotFoundError: If the config or the tree is not there.
        ValueError: If there is no such variant.
    """
    if unknown := {part for name in variants for part in name.split('+')} - PARTS.keys():
        raise ValueError(f'no variant {", ".join(unknown)}; there are {", ".join(PARTS)}')
    cfg = Config.fromfile(config)
    init_default_scope('mmseg')
    torch.backends.cudnn.benchmark = cfg.get('env_cfg', {}).get('cudnn_benchmark', False)
    batch = _slices(cfg, source) if size is None else _noise(cfg, size)
    made, memory, failed = {DEFAULT: _warm(Step(cfg, batch))}, {}, {}
    for name in variants:
        try:
            options = ChainMap(*(PARTS[part] for part in name.split('+')))
            made[name] = _warm(Step(cfg, batch, **options))
        except (RuntimeError, AssertionError) as error:  # no compiler, memory, GPU for float16
            failed[name] = f'{type(error).__name__}: {error}'.splitlines()[0][:60]
    for name, step in made.items():
        memory[name] = _peak_memory(step)
    seconds = np.array([[_seconds(step) for step in made.values()] for _ in range(steps)]).T
    return [
        *(_row(name, own, seconds[0], memory[name]) for name, own in zip(made, seconds)),
        *(_cells(name, f'skipped: {error}', '', '') for name, error in failed.items()),
    ]


def waiting(
    config: str | Path, iterations: int = 50, source: str | Path | None = None
) -> dict[str, str]:
    """Train as mmengine's Runner does and tell how long it waits for the data loader.

    Without validation and checkpoints, from random weights. Started by ``torchrun``, the processes
    train together, by NCCL on GPUs and by gloo on CPUs. The first fifth of the iterations, in
    which workers start, does not count.

    Args:
        config (str | Path): A config.
        iterations (int): How many. Defaults to 50.
        source (str | Path, optional): The prepared tree. Defaults to None: the config's own.

    Returns:
        dict[str, str]: Mean seconds per iteration, those of waiting for data, and their share; on a
        GPU the most MiB that were allocated.

    Raises:
        FileNotFoundError: If the config or the tree is not there.
    """
    cfg = Config.fromfile(config)
    loader = cfg.train_dataloader
    if source is not None:
        loader.dataset.data_root = str(source)
    with tempfile.TemporaryDirectory() as folder:
        cfg.merge_from_dict(dict(work_dir=folder, log_level='ERROR', resume=False, load_from=None))
        cfg.merge_from_dict({'train_cfg.max_iters': iterations, 'default_hooks.checkpoint': None})
        for part in ('val', 'test'):
            for key in ('dataloader', 'evaluator', 'cfg'):
                cfg[f'{part}_{key}'] = None
        if 'init_cfg' in cfg.model.backbone:
            cfg.model.backbone.init_cfg = None  # weights to download
        cfg.launcher = 'pytorch' if 'RANK' in os.environ else 'none'
        # Runners of one name share scalars, log and visualizer, which would outlive this folder.
        cfg.experiment_name = f'waiting_{time.time_ns()}'
        cfg.setdefault('visualizer', dict(type='Visualizer')).name = cfg.experiment_name
        runner = Runner.from_cfg(cfg)
        runner.train()
        scalars = runner.message_hub.log_scalars
    counted = slice(max(1, iterations // 5), None)
    total, data = (
        scalars[f'train/{key}'].data[0][counted].mean().item() for key in ('time', 'data_time')
    )
    return {
        'workers': str(loader.num_workers),
        'device': get_device(),
        'processes': f'{get_world_size()}, {get_backend() or "no launcher"}',
        'MiB': f'{torch.cuda.max_memory_allocated() / MIB:.0f}' if get_device() == 'cuda' else '-',
        's per iteration': f'{total:.4g}',
        's waiting for data': f'{data:.4g}',
        'share waiting': f'{100 * data / total:.2f} %',
    }


def _slices(cfg: Config, source: str | Path | None) -> dict:
    dataset = cfg.train_dataloader.dataset
    if source is not None:
        dataset.data_root = str(source)
    dataset = DATASETS.build(dataset)
    chosen = np.linspace(0, len(dataset) - 1, cfg.train_dataloader.batch_size).astype(int)
    return pseudo_collate([dataset[index] for index in chosen.tolist()])


def _noise(cfg: Config, size: Sequence[int]) -> dict:
    if not cfg.model.data_preprocessor.get('size_divisor'):  # it pads to the one or the other
        cfg.model.data_preprocessor.size = tuple(size)
    channels = len(cfg.model.data_preprocessor.mean)
    samples = []
    for _ in range(cfg.train_dataloader.batch_size):
        label = PixelData(data=torch.randint(2, (1, *size)))
        sample = SegDataSample(
            gt_sem_seg=label, metainfo=dict(img_shape=tuple(size), ori_shape=tuple(size))
        )
        image = torch.randint(256, (channels, *size), dtype=torch.uint8)
        samples.append(dict(inputs=image, data_samples=sample))
    return pseudo_collate(samples)


def _warm(step: Step) -> Step:
    for _ in range(2):
        step()
    return step


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _peak_memory(work: Callable[[], object]) -> float | None:
    """MiB above what was held before, at the highest; None where that is not known."""
    if torch.cuda.is_available():
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        work()
        return (torch.cuda.max_memory_allocated() - before) / MIB
    try:
        # Else glibc keeps what was freed, and nothing would seem to be allocated.
        ctypes.CDLL(None).malloc_trim(0)
        CLEAR.write_text('5')  # sets the high-water mark back
        before = _status('VmRSS')
        work()
        return (_status('VmHWM') - before) / MIB
    except (OSError, AttributeError):
        return None


def _status(key: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(key))
    return 1024 * int(line.split()[1])


@contextmanager
def _quiet() -> Iterator[None]:
    """Without a line for each parameter that has a learning rate of its own."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _row(
    name: str, seconds: np.ndarray, default: np.ndarray, memory: float | None
) -> dict[str, str]:
    ratio = default / seconds
    return _cells(
        name,
        f'{np.median(seconds):.4g}',
        f'{np.median(ratio):.2f} ({ratio.min():.2f} to {ratio.max():.2f})',
        '-' if memory is None else f'{memory:.0f} MiB',
    )


def _cells(name: str, seconds: str, ratio: str, memory: str) -> dict[str, str]:
    return {
        f'step on {get_device()}': name,
        'seconds': seconds,
        'times as fast as the default': ratio,
        'memory': memory,
    }
