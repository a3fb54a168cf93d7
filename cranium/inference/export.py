"""Networks as ONNX files that say by themselves what they expect, checked on real slices."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from cranium.errors import CraniumError
from cranium.inference.aligned import AlignedScan
from cranium.inference.network import FILES, Network
from cranium.inference.onnx_network import CARD_KEY, INPUT, OUTPUTS, SPEC_KEY, OnnxNetwork
from cranium.inference.segmenter import Segmenter
from cranium.inference.spec import NetworkSpec
from cranium.inference.torch_network import TorchNetwork
from cranium.scans.pictures import read_pixels
from cranium.scans.scan import Scan

TOLERANCE = 1e-4
"""By which log-odds of ONNX Runtime may differ from PyTorch's."""
DICE_TOLERANCE = 0.005
"""By which the Dice of a quantised network may be lower on the sample."""
_CALIBRATION = 20  # slices; more take time and change nothing
_QUANTISED = ['Conv', 'MaxPool', 'Add', 'Relu']


@dataclass(frozen=True)
class Exported:
    """What was written, as it was measured on the sample.

    Args:
        weights (int): How many the network has.
        slices (int): Of the sample.
        difference (float): Largest one of log-odds to PyTorch's.
        dice (float): Of all pixels of the sample.
        torch_dice (float): The same, of PyTorch.
    """

    weights: int
    slices: int
    difference: float
    dice: float
    torch_dice: float


def export_onnx(network: Network, out: Path, card: str, quantize: bool = False) -> Exported:
    """Write a network to an ONNX file.

    Normalisation of gray values, the mean with the mirror image and log-odds are inside; number,
    height and width of images are free. The file holds what stands before and after, see
    :class:`~cranium.inference.spec.NetworkSpec`.

    Args:
        network (Network): Of PyTorch, on the CPU.
        out (Path): The file to write.
        card (str): What a user should know of the network.
        quantize (bool): Whether convolutions are of 8-bit integers, calibrated on the sample.
            Defaults to False.

    Raises:
        CraniumError: ``out`` is there already, or what ONNX Runtime makes of the file is not what
            PyTorch makes of the network.
    """
    if not isinstance(network, TorchNetwork):
        raise CraniumError('the network is an ONNX file already; name a checkpoint of PyTorch')
    if out.exists():
        raise CraniumError(f'{out} is there already; remove it, or choose another name')
    with TemporaryDirectory(prefix='cranium-') as work:
        truth = list(read_sample(Path(work)))
        made = Path(work) / 'network.onnx'
        _trace(network, made)
        if quantize:
            plain, made = made, Path(work) / 'quantised.onnx'
            _quantise(plain, made, [scan for scan, _ in truth], network.spec)
        _describe(made, network.spec, card)
        found = _compare(network, OnnxNetwork(made, 'cpu'), truth)
        if not quantize and found.difference > TOLERANCE:
            msg = f'{out} is not written: log-odds differ from PyTorch by {found.difference:.2g}'
            raise CraniumError(f'{msg}, more than {TOLERANCE}; try another version of torch')
        if found.torch_dice - found.dice > DICE_TOLERANCE:
            msg = (
                f'{out} is not written: Dice falls from {found.torch_dice:.4f} to {found.dice:.4f}'
            )
            raise CraniumError(f'{msg}; leave out --quantize')
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = out.with_name(f'.{out.name}')
        partial.write_bytes(made.read_bytes())
        partial.rename(out)
    return found


def read_sample(work: Path) -> Iterator[tuple[Scan, NDArray[np.bool_]]]:
    """Read the scans that came with the package, in HU, and their masks.

    Args:
        work (Path): A folder for what is made on the way.
    """
    from cranium.preparation.plan import Options, make_plan
    from cranium.preparation.prepare import write_plan
    from cranium.preparation.raw import read_raw
    from cranium.preparation.source import find_source
    from cranium.scans.find import find_scans, read_scan

    tree = work / 'sample'
    plan = make_plan(read_raw(find_source(FILES / 'data/sample')), Options(window='hu'))
    write_plan(plan, tree)
    for found in find_scans([tree / 'images'], work)[0]:
        masks = [
            read_pixels(Path(str(file.parent).replace('images', 'masks')) / file.name)
            for file in found.files
        ]
        yield read_scan(found), np.stack(masks) == 1


def _trace(network: TorchNetwork, out: Path) -> None:
    model = network.model
    step = network.divisor
    height, width = network.spec.size
    views = torch.zeros(2, network.spec.channels, height, width)
    free = {
        0: torch.export.Dim('batch'),
        2: step * torch.export.Dim('rows'),
        3: step * torch.export.Dim('columns'),
    }
    with _quiet():
        torch.onnx.export(
            model,
            (views,),
            out,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_shapes={'views': free},
            dynamo=True,
            external_data=False,
            verbose=False,
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporters' reports, which go to stdout and to the log."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(before)


def _quantise(source: Path, out: Path, scans: list[Scan], spec: NetworkSpec) -> None:
    from onnxruntime.quantization import CalibrationMethod, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    views = [each for scan in scans for each in _views(scan, spec)]
    chosen = [views[i] for i in np.linspace(0, len(views) - 1, _CALIBRATION).astype(int)]
    prepared = out.with_name('prepared.onnx')
    with _quiet():
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            out,
            _Reader(chosen),
            op_types_to_quantize=_QUANTISED,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            # The rare highest values would make the steps of all others coarse.
            calibrate_method=CalibrationMethod.Percentile,
            extra_options={'CalibPercentile': 99.999},
        )


class _Reader:
    """Gives ONNX Runtime one slice after the other."""

    def __init__(self, views: list[NDArray[np.float32]]) -> None:
        self._left = iter(views)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        found = next(self._left, None)
        return None if found is None else {INPUT: found[None]}


def _describe(file: Path, spec: NetworkSpec, card: str) -> None:
    """Put into the file what stands around the network; take out where it was made."""
    model = onnx.load(file)
    for node in [*model.graph.node, *model.graph.value_info, *model.graph.input]:
        node.ClearField('metadata_props')  # paths and lines of Python code
        node.ClearField('doc_string')
    model.graph.ClearField('metadata_props')
    model.ClearField('metadata_props')
    model.producer_name, model.producer_version = 'cranium', spec.version
    for key, value in {SPEC_KEY: spec.to_json(), CARD_KEY: card}.items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, file)


def _views(scan: Scan, spec: NetworkSpec) -> list[NDArray[np.float32]]:
    aligned = AlignedScan.of(scan, spec)
    return [aligned.views(layer) for layer in range(len(aligned.layers))]


class _Recorded:
    """A network whose output is kept."""

    def __init__(self, network: Network) -> None:
        self.network, self.spec, self.runtime = network, network.spec, network.runtime
        self.batch_size = network.batch_size
        self.outputs: list[NDArray[np.float32]] = []

    def __call__(
        self, views: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        found = self.network(views)
        self.outputs += found
        return found


def _compare(
    network: TorchNetwork, other: Network, truth: list[tuple[Scan, NDArray[np.bool_]]]
) -> Exported:
    """Run both on scans with masks."""
    both = _Recorded(network), _Recorded(other)
    overlaps = np.zeros((2, 2))
    for scan, mask in truth:
        for row, each in enumerate(both):
            found = Segmenter(each).segment_scan(scan).masks == 1
            overlaps[row] += 2 * np.count_nonzero(found & mask), found.sum() + mask.sum()
    own, its = (each.outputs for each in both)
    torch_dice, dice = (overlaps[:, 0] / overlaps[:, 1]).tolist()
    return Exported(
        weights=sum(parameter.numel() for parameter in network.model.parameters()),
        slices=sum(len(mask) for _, mask in truth),
        difference=max(float(np.abs(a - b).max()) for a, b in zip(own, its)),
        dice=dice,
        torch_dice=torch_dice,
    )


def card_of(checkpoint: Path | None, spec: NetworkSpec) -> str:
    """What a user should know of a network: the model card of the package's own weights, or less.

    Args:
        checkpoint (Path, optional): The weights; None for the package's own.
        spec (NetworkSpec): What the network expects.
    """
    if checkpoint is None or checkpoint.resolve().parent == (FILES / 'checkpoints').resolve():
        return (FILES / 'docs/model_card.md').read_text()
    origin: Any = spec.training.get('experiment_name', spec.name)
    return f'{spec.name}, trained as {origin}. For research; not a medical device.\n'
