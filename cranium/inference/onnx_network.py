"""Networks as ONNX files by ``cranium export``, run by ONNX Runtime without torch."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cranium.errors import CraniumError
from cranium.inference.network import CPU_BATCH, GPU_BATCH
from cranium.inference.spec import NetworkSpec

SPEC_KEY = 'cranium'
"""Of the metadata that holds the :class:`~cranium.inference.spec.NetworkSpec`."""
CARD_KEY = 'card'
INPUT, OUTPUTS = 'views', ('log_odds', 'scores')


class OnnxNetwork:
    """A network as an ONNX file.

    Args:
        file (Path): By ``cranium export``.
        device (str): See :func:`~cranium.inference.network.load_network`.

    Raises:
        CraniumError: It is none, or the device is not there.
    """

    def __init__(self, file: Path, device: str) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            msg = f'{file}: ONNX Runtime, which runs it, is not installed'
            raise CraniumError(f'{msg}; `pip install onnxruntime`') from error
        there = onnxruntime.get_available_providers()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = _threads()
        try:
            self._session = onnxruntime.InferenceSession(
                str(file), options, providers=_providers(device, there)
            )
        except Exception as error:  # ONNX Runtime's own have no class in common
            msg = f'{file}: ONNX Runtime cannot load it'
            raise CraniumError(f'{msg}; write it again by `cranium export`') from error
        metadata = self._session.get_modelmeta().custom_metadata_map
        if SPEC_KEY not in metadata:
            msg = f'{file}: it does not say what its network expects'
            raise CraniumError(f'{msg}; write it by `cranium export`')
        self.spec = NetworkSpec.from_json(metadata[SPEC_KEY], str(file))
        self.card: str = metadata.get(CARD_KEY, '')
        provider = self._session.get_providers()[0].removesuffix('ExecutionProvider')
        self.batch_size = CPU_BATCH if provider == 'CPU' else GPU_BATCH
        self.runtime = f'ONNX Runtime {onnxruntime.__version__} on {provider}'

    def __call__(
        self, views: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Find hemorrhage; see :class:`~cranium.inference.network.Network`."""
        found: list[Any] = self._session.run(list(OUTPUTS), {INPUT: views})
        return found[0], found[1]


def _threads() -> int:
    """As many as PyTorch would take: what the user says, or one for each core that is ours."""
    said = os.environ.get('OMP_NUM_THREADS', '')
    if said.isdigit() and int(said):
        return int(said)
    ours = getattr(os, 'sched_getaffinity', None)
    return len(ours(0)) if ours else os.cpu_count() or 1


def _providers(device: str, there: list[str]) -> list[str]:
    wanted = {'cuda': 'CUDAExecutionProvider', 'mps': 'CoreMLExecutionProvider'}
    cpu = 'CPUExecutionProvider'
    if device == 'auto':
        return [each for each in ('CUDAExecutionProvider', cpu) if each in there]
    provider = wanted.get(device.partition(':')[0], cpu)
    if provider not in there:
        msg = f'device is {device!r}, which this ONNX Runtime does not see'
        raise CraniumError(f"{msg}; use 'cpu' or 'auto'")
    return [provider] if provider == cpu else [provider, cpu]
