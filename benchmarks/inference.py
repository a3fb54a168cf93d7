"""From a scan to its masks: beside mmseg's own inferencer, and what takes time and memory."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import numpy as np

from cranium.inference.network import FILES, PRETRAINED
from cranium.inference.segmenter import Segmenter

WEIGHTS = FILES / f'checkpoints/{PRETRAINED}.pth'
CONFIG = FILES / f'configs/{PRETRAINED}.py'
PEAK = """
import sys
from pathlib import Path
from cranium.cli import main
try:
    main()
finally:
    # Not getrusage, whose peak begins with that of the process that started this one.
    status = Path('/proc/self/status').read_text()
    print('peak', int(status.split('VmHWM:')[1].split()[0]) / 2**10, file=sys.stderr)
"""


@contextmanager
def scan_of(source: Path, slices: int) -> Iterator[Path]:
    """Lay so many slices of a prepared tree into a folder, as one scan.

    They are those of the patient with the most; where that is not enough, those of all in turn.

    Raises:
        FileNotFoundError: There are none.
    """
    files = sorted(source.glob('images/*/*.png'), key=lambda file: file.name)
    if not files:
        raise FileNotFoundError(f'{source}/images: no slices; run cranium prepare --window hu')
    patients = [file.name.partition('_')[0] for file in files]
    longest = max(patients, key=patients.count)
    chosen = [file for file, patient in zip(files, patients) if patient == longest]
    if len(chosen) < slices:
        chosen = files
    with TemporaryDirectory(prefix='cranium-') as folder:
        for number in range(slices):
            shutil.copy(chosen[number % len(chosen)], f'{folder}/900_{number + 1:03d}.png')
        yield Path(folder)


def compare(scan: Path, rounds: int = 5, onnx: Path | None = None) -> list[dict[str, str]]:
    """Time a scan from files to masks, by turns: Segmenter, MMSegInferencer, ONNX Runtime.

    Args:
        scan (Path): A folder by :func:`scan_of`.
        rounds (int): Of each, after one that warms up. Defaults to 5.
        onnx (Path, optional): The same weights by ``cranium export``. Defaults to None: without.

    Returns:
        list[dict[str, str]]: A table: median seconds of wall time and of all cores; the wall time
        of MMSegInferencer divided by its own, as median and range over the rounds; and in how many
        pixels the masks differ from MMSegInferencer's.
    """
    from mmseg.apis import MMSegInferencer

    import cranium.register  # noqa: F401  (before anything of mmseg)

    files = sorted(map(str, scan.glob('*.png')))
    with mock.patch('rich.progress.Progress.update'):
        inferencer = MMSegInferencer(str(CONFIG), str(WEIGHTS), device='cpu')

    def theirs() -> np.ndarray:
        found = inferencer(files, return_datasamples=True)
        return np.stack([sample.pred_sem_seg.data[0].numpy() for sample in found])

    def by(segmenter: Segmenter) -> Callable[[], np.ndarray]:
        return lambda: segmenter.segment(scan).masks

    ways = {
        'MMSegInferencer': theirs,
        'Segmenter': by(Segmenter.from_pretrained(device='cpu')),
    }
    if onnx is not None:
        ways['Segmenter, ONNX Runtime'] = by(Segmenter.from_pretrained(onnx, device='cpu'))
    masks = {name: way() for name, way in ways.items()}
    seconds = np.array([[_seconds(way) for way in ways.values()] for _ in range(rounds)])
    rows = []
    for index, name in enumerate(ways):
        wall, cores = np.median(seconds[:, index], axis=0)
        ratio = seconds[:, 0, 0] / seconds[:, index, 0]
        differing = np.count_nonzero(masks[name] != masks['MMSegInferencer'])
        rows.append(
            {
                f'{len(files)} slices': name,
                'seconds': f'{wall:.3g}',
                'of all cores': f'{cores:.3g}',
                'times as fast': f'{np.median(ratio):.2f} ({ratio.min():.2f} to {ratio.max():.2f})',
                'pixels that differ': str(differing),
            }
        )
    return rows


def _seconds(work: Callable[[], Any]) -> tuple[float, float]:
    wall, cores = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cores


def shares(scan: Path, checkpoint: Path | None = None) -> list[dict[str, str]]:
    """Tell what the time of ``cranium predict`` goes to, without its start.

    Args:
        scan (Path): What it is to read.
        checkpoint (Path, optional): An ONNX file. Defaults to None: the pretrained weights.

    Returns:
        list[dict[str, str]]: A table of the parts of one scan, the second that is done.
    """
    from cranium.inference import predict as module
    from cranium.inference.share import Share
    from cranium.windows import BRAIN

    spent: dict[str, float] = {}

    def timed(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            start = time.perf_counter()
            try:
                return work(*args, **options)
            finally:
                spent[name] = spent.get(name, 0.0) + time.perf_counter() - start

        return run

    segmenter = Segmenter.from_pretrained(checkpoint, device='cpu')
    segmenter._network = _Timed(segmenter._network, timed)
    read, save = timed('reading', module.read_scan), timed('writing', module.writers.save)
    with (
        mock.patch.object(Segmenter, 'from_pretrained', lambda *args: segmenter),
        mock.patch.object(module, 'read_scan', read),
        mock.patch.object(module.writers, 'save', save),
        TemporaryDirectory(prefix='cranium-') as folder,
    ):
        for turn in range(2):
            spent.clear()
            start = time.perf_counter()
            settings = module.Settings(window=BRAIN)
            out = Path(folder, str(turn))
            module.predict([scan], out, (None, None, 'cpu'), settings, mock.MagicMock(), Share())
            total = time.perf_counter() - start
    rest = total - sum(spent.values())
    parts = {**spent, 'aligning, mapping back and the rest': rest, 'all': total}
    return [
        {'part': name, 'seconds': f'{value:.3g}', 'share': f'{100 * value / total:.0f} %'}
        for name, value in parts.items()
    ]


class _Timed:
    """A network whose time counts."""

    def __init__(self, network: Any, timed: Callable[..., Any]) -> None:
        self.spec, self.runtime = network.spec, network.runtime
        self.batch_size = network.batch_size
        self._run = timed('network', network)

    def __call__(self, views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._run(views)


def commands(
    scan: Path, checkpoint: Path | None = None, copies: tuple[int, ...] = (1, 4)
) -> list[dict[str, str]]:
    """Time ``cranium predict`` as it is typed, start included, on copies of a scan.

    Args:
        scan (Path): A file or folder.
        checkpoint (Path, optional): An ONNX file. Defaults to None: the pretrained weights.
        copies (tuple): How many scans. Defaults to (1, 4).

    Returns:
        list[dict[str, str]]: A table: seconds of wall time and of all cores, the shortest of three
        runs, and the highest memory.
    """
    rows = []
    for count in copies:
        runs = [_run_command(scan, checkpoint, count) for _ in range(3)]
        wall, cores, peak = (min(values) for values in zip(*runs))
        rows.append(
            {
                'cranium predict': 'ONNX Runtime' if checkpoint else 'PyTorch',
                'scans': str(count),
                'seconds': f'{wall:.3g}',
                'of all cores': f'{cores:.3g}',
                'memory': f'{peak:.0f} MiB',
            }
        )
    return rows


def _run_command(scan: Path, checkpoint: Path | None, count: int) -> tuple[float, float, float]:
    import resource

    with TemporaryDirectory(prefix='cranium-') as work:
        inputs = []
        for number in range(count):
            inputs.append(Path(work, f'{number}', scan.name))
            copy = shutil.copytree if scan.is_dir() else shutil.copy
            inputs[-1].parent.mkdir()
            copy(scan, inputs[-1])
        options = ['--checkpoint', checkpoint] if checkpoint else []
        command = [sys.executable, '-c', PEAK, 'predict', *inputs, '--out', f'{work}/out', *options]
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(done.stderr)
    cores = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cores, float(done.stderr.rpartition('peak')[2])
