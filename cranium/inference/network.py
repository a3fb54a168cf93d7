"""Networks for slices in head space, whatever runs them."""

import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

import cranium
from cranium.errors import CraniumError
from cranium.inference.spec import NetworkSpec

FILES = Path(cranium.__file__).parent / '.mim'
PRETRAINED = 'unet-cranium_small_1xb8-8k_cranium-aligned-192x160'
DEVICES = ('auto', 'cpu', 'cuda', 'mps')

CPU_BATCH, GPU_BATCH = 4, 32
"""More than four slices do not fit the cache of a CPU, and take a quarter longer each."""


class Network(Protocol):
    """Finds hemorrhage in slices in head space.

    Attributes:
        spec (NetworkSpec): What it expects.
        runtime (str): What runs it, and where, for messages.
        batch_size (int): Slices that it is fastest with.
    """

    spec: NetworkSpec
    runtime: str
    batch_size: int

    def __call__(
        self, views: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Find hemorrhage.

        Args:
            views (ndarray): (N, C, height, width) float32, gray values from 0 to 255.

        Returns:
            tuple: Log-odds of pixels, (N, height, width), and of slices, (N,), float32.
        """


def load_network(
    checkpoint: str | Path | None = None, config: str | Path | None = None, device: str = 'auto'
) -> Network:
    """Load a network.

    Args:
        checkpoint (str | Path, optional): Weights of mmengine (.pth), or an ``.onnx`` file by
            ``cranium export``, which needs no torch. Defaults to None: the package's own weights.
        config (str | Path, optional): The config of the weights. Defaults to None: the one beside
            them, or the package's of the same name.
        device (str): 'auto', 'cpu', 'cuda', perhaps with a number, or 'mps'. Defaults to 'auto':
            a GPU if there is one.

    Raises:
        CraniumError: A file is not what it should be, or the device is not there.
        FileNotFoundError: A file is not there.
    """
    if device.partition(':')[0] not in DEVICES:
        raise CraniumError(f'device is {device!r}; choose from {", ".join(DEVICES)}')
    weights = FILES / f'checkpoints/{PRETRAINED}.pth' if checkpoint is None else Path(checkpoint)
    if not weights.is_file():
        raise FileNotFoundError(f'{weights}: there is no such checkpoint')
    if weights.suffix == '.onnx':
        if config is not None:
            raise CraniumError(f'{weights} holds its own settings; leave out {config}')
        from cranium.inference.onnx_network import OnnxNetwork

        return OnnxNetwork(weights, device)
    require('torch', 'mmseg', extra=None)
    found = find_config(weights) if config is None else Path(config)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # OpenMMLab's packages warn of their own imports
        from cranium.inference.torch_network import TorchNetwork

        return TorchNetwork(weights, found, device)


def require(*modules: str, extra: str | None) -> None:
    """Ask for packages that an install may lack.

    Args:
        *modules (str): Their names when they are imported.
        extra (str, optional): Of this package, which installs them; None: a whole install does.

    Raises:
        CraniumError: One is not installed.
    """
    if missing := [name for name in modules if find_spec(name) is None]:
        remedy = f"'cranium[{extra}]'" if extra else 'cranium, or name an .onnx file'
        raise CraniumError(f'{", ".join(missing)} not installed; pip install {remedy}')


def find_config(checkpoint: Path) -> Path:
    """Find the config of a checkpoint: beside it, as mmengine leaves it there, or the package's.

    Raises:
        CraniumError: There is none, or several.
    """
    for folder in (checkpoint.parent, FILES / 'configs'):
        if (found := folder / f'{checkpoint.stem}.py').is_file():
            return found
    beside = sorted(checkpoint.parent.glob('*.py'))
    if len(beside) == 1:
        return beside[0]
    several = f'{len(beside)} configs lie' if beside else 'no config lies'
    raise CraniumError(f'{checkpoint}: {several} beside it; name the one it was trained with')
