"""What of a training is handed to others: its weights, in a file that is safe to load."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from cranium.errors import CraniumError

# What mmseg's inference needs to know beside the weights, what a reader asks first, and whom they
# have seen.
_META = ('dataset_meta', 'iter', 'seed', 'experiment_name', 'cranium')


def publish_checkpoint(
    checkpoint: Path, out: Path, operating_points: Mapping[str, Any] | None = None
) -> int:
    """Write the weights of a training and nothing else, and return their number.

    mmengine's checkpoints also hold the optimizer's state, the weights as they were before
    averaging (``EMAHook`` exchanges them as it saves, so ``state_dict`` is the average), the log
    and paths of the machine. What is written here ``torch.load(..., weights_only=True)`` loads
    without an allow-list: tensors, numbers, texts. The same weights give the same bytes.

    Args:
        checkpoint (Path): Of mmengine.
        out (Path): The file to write.
        operating_points (mapping, optional): What ``meta['cranium']['operating_points']`` is to
            say of the thresholds and calibrations by a cross-validation of the same config.

    Raises:
        CraniumError: If ``out`` is there already, or the checkpoint has no ``state_dict``.
        OSError: If a file cannot be read or written.
    """
    if out.exists():
        raise CraniumError(f'{out} is there already; remove it, or choose another name')
    found = torch.load(checkpoint, map_location='cpu', weights_only=True)
    if not isinstance(found, dict) or 'state_dict' not in found:
        raise CraniumError(f'{checkpoint} has no state_dict; expected a checkpoint of mmengine')
    weights = {name: tensor.contiguous() for name, tensor in found['state_dict'].items()}
    meta = {key: found['meta'][key] for key in _META if key in found.get('meta', {})}
    if operating_points:
        meta['cranium'] = {**(meta.get('cranium') or {}), 'operating_points': operating_points}
    plain = json.loads(json.dumps(meta, default=lambda other: None))
    partial = out.with_name(f'.{out.name}')
    out.parent.mkdir(parents=True, exist_ok=True)
    with open(partial, 'wb') as file:  # to a file, or the bytes hold the name of this one
        torch.save({'state_dict': weights, 'meta': plain}, file)
    partial.rename(out)
    return sum(tensor.numel() for tensor in weights.values())
