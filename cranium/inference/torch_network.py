"""Networks of mmseg in PyTorch. The only module of this package that imports torch and mmseg."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmcv.cnn import fuse_conv_bn
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DefaultScope
from mmengine.utils import import_modules_from_strings
from mmseg.registry import MODELS
from numpy.typing import NDArray
from torch import Tensor, nn

import cranium.models  # noqa: F401  (registers them)
from cranium.errors import CraniumError
from cranium.inference.network import CPU_BATCH, GPU_BATCH
from cranium.inference.spec import NetworkSpec


class AlignedModel(nn.Module):
    """What is computed of a slice in head space, from gray values to log-odds.

    Args:
        segmentor (nn.Module): An ``AlignedEncoderDecoder``.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, segmentor: Any) -> None:
        super().__init__()
        self.segmentor = segmentor
        for name in ('mean', 'std'):
            self.register_buffer(name, getattr(segmentor.data_preprocessor, name)[None])

    def forward(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """Find hemorrhage; see :class:`~cranium.inference.network.Network`."""
        logits, scores = self.segmentor.forward_aligned((views - self.mean) / self.std)
        log_odds = logits[:, 1] - logits[:, 0]
        return log_odds, log_odds.amax((1, 2)) if scores is None else scores


class TorchNetwork:
    """A config's network with the weights of a checkpoint.

    Args:
        checkpoint (Path): Weights of mmengine.
        config (Path): Their config.
        device (str): See :func:`~cranium.inference.network.load_network`.

    Raises:
        CraniumError: The checkpoint holds code, or weights of another network.
    """

    def __init__(self, checkpoint: Path, config: Path, device: str) -> None:
        self.device = choose_device(device)
        cfg = read_config(config)
        weights = read_checkpoint(checkpoint)
        spec = NetworkSpec.from_config(cfg, weights.get('meta') or {})
        self.spec = spec.named(config.stem)
        segmentor = build_segmentor(cfg)
        load_weights(segmentor, weights['state_dict'], checkpoint, config)
        self.model = AlignedModel(fuse_conv_bn(segmentor)).to(self.device).eval()
        self.batch_size = CPU_BATCH if self.device.type == 'cpu' else GPU_BATCH
        self.divisor: int = cfg.model.data_preprocessor.get('size_divisor') or 1
        self.runtime = f'PyTorch {torch.__version__} on {self.device}'

    def __call__(
        self, views: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Find hemorrhage; see :class:`~cranium.inference.network.Network`."""
        with torch.inference_mode():
            log_odds, scores = self.model(torch.from_numpy(views).to(self.device))
        return log_odds.float().cpu().numpy(), scores.float().cpu().numpy()


def choose_device(device: str) -> torch.device:
    """Return the device, for 'auto' a GPU if there is one.

    Raises:
        CraniumError: It is not there.
    """
    there = {
        'cuda': torch.cuda.is_available(),
        'mps': torch.backends.mps.is_available(),
        'cpu': True,
    }
    if device == 'auto':
        return torch.device(next(name for name, is_there in there.items() if is_there))
    if not there[device.partition(':')[0]]:
        raise CraniumError(f"device is {device!r}, which PyTorch does not see; use 'cpu' or 'auto'")
    return torch.device(device)


def read_config(config: Path) -> Config:
    """Read a config and import what it names, but for what only training needs.

    Raises:
        FileNotFoundError: It is not there.
        CraniumError: It has no model and test data loader.
    """
    if not config.is_file():
        raise FileNotFoundError(f'{config}: there is no such config')
    cfg = Config.fromfile(config, import_custom_modules=False)
    if 'model' not in cfg or 'test_dataloader' not in cfg:
        raise CraniumError(f'{config}: no model and test_dataloader in it; name a whole config')
    imports = cfg.get('custom_imports', {}).get('imports', [])
    import_modules_from_strings([name for name in imports if name != 'cranium.register'])
    return cfg


def build_segmentor(cfg: Config) -> nn.Module:
    """Build the model of a config, with random weights."""
    model = cfg.model
    if 'init_cfg' in model.backbone:
        model.backbone.init_cfg = None  # what it would download, the checkpoint replaces
    model.pop('pretrained', None)
    with DefaultScope.overwrite_default_scope('mmseg'):
        segmentor: nn.Module = revert_sync_batchnorm(MODELS.build(model))
    return segmentor


def read_checkpoint(checkpoint: Path) -> dict[str, Any]:
    """Read a checkpoint, which may hold data and no code.

    Returns:
        dict: With 'state_dict' and perhaps 'meta'.

    Raises:
        CraniumError: It holds code, or is no checkpoint.
    """
    try:
        found = torch.load(checkpoint, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        if 'nsupported' in str(error) or 'not data' in str(error):
            msg = f'{checkpoint}: the checkpoint holds more than data, which might be code to run'
            raise CraniumError(f'{msg}; use one that `cranium publish` wrote') from error
        raise CraniumError(_no_checkpoint(checkpoint)) from error
    except (RuntimeError, EOFError, ValueError, KeyError) as error:
        raise CraniumError(_no_checkpoint(checkpoint)) from error
    if not isinstance(found, dict):
        raise CraniumError(_no_checkpoint(checkpoint))
    return found if 'state_dict' in found else {'state_dict': found}


def _no_checkpoint(checkpoint: Path) -> str:
    return f'{checkpoint}: damaged, or no checkpoint of PyTorch; copy it again'


def load_weights(
    segmentor: nn.Module, weights: dict[str, Any], checkpoint: Path, config: Path
) -> None:
    """Put the weights of a checkpoint into a network.

    Raises:
        CraniumError: They are those of another one.
    """
    own = {key: tuple(value.shape) for key, value in segmentor.state_dict().items()}
    given = {key: tuple(getattr(value, 'shape', ())) for key, value in weights.items()}
    if own != given:
        shapes = [
            f'{key} is {given[key]} and should be {own[key]}'
            for key in own
            if key in given and own[key] != given[key]
        ]
        differences = [
            _name_few([key for key in own if key not in given], 'missing'),
            _name_few([key for key in given if key not in own], 'not of this network'),
            _name_few(shapes, ''),
        ]
        msg = f'{checkpoint}: weights of another network than {config.name}'
        raise CraniumError(f'{msg}: {"; ".join(filter(None, differences))}; name its own config')
    segmentor.load_state_dict(weights)


def _name_few(keys: list[str], what: str, most: int = 2) -> str:
    if not keys:
        return ''
    rest = f' and {len(keys) - most} more' if len(keys) > most else ''
    return f'{what} {", ".join(keys[:most])}{rest}'.strip()
