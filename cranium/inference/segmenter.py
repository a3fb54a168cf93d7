"""The way from a scan to what is found in it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from cranium.errors import CraniumError
from cranium.inference.aligned import AlignedScan
from cranium.inference.arrays import scan_of_array
from cranium.inference.network import Network, load_network
from cranium.inference.segmentation import Segmentation
from cranium.inference.spec import NetworkSpec
from cranium.scans.scan import Scan
from cranium.windows import BRAIN, Window

Progress = Callable[[int], Any]


class Segmenter:
    """Finds hemorrhage in scans.

    Args:
        network (Network): See :meth:`from_pretrained`.
        batch_size (int, optional): Slices that the network sees at once, also of several scans. The
            result does not depend on it. Defaults to None: what the network is fastest with.

    Examples:
        >>> segmenter = Segmenter.from_pretrained()
        >>> found = segmenter.segment(np.full((650, 650), -1000, np.int16))
        Traceback (most recent call last):
        cranium.errors.CraniumError: array: no head is seen in it; give axial slices in HU
    """

    def __init__(self, network: Network, batch_size: int | None = None) -> None:
        self._network = network
        self.batch_size = batch_size or network.batch_size

    @classmethod
    def from_pretrained(
        cls,
        checkpoint: str | Path | None = None,
        config: str | Path | None = None,
        device: str = 'auto',
    ) -> 'Segmenter':
        """Load a network; see :func:`~cranium.inference.network.load_network`."""
        return cls(load_network(checkpoint, config, device))

    @property
    def network(self) -> NetworkSpec:
        """What the network expects, and what its output means."""
        return self._network.spec

    @property
    def runtime(self) -> str:
        """What runs the network, and where."""
        return self._network.runtime

    def segment(
        self,
        x: Any,
        *,
        spacing: Sequence[float] | None = None,
        window: Window | None = BRAIN,
        progress: Progress | None = None,
    ) -> Segmentation | list[Segmentation]:
        """Find hemorrhage in whatever holds a scan.

        Args:
            x: Hounsfield units, an array (H, W) or (N, H, W), from the neck to the vertex; or a
                file or folder: DICOM, NIfTI, pictures or a zip of these; or a list of them.
            spacing (Sequence[float], optional): Of an array, in mm: between slices, rows and
                columns; of a lone slice also rows and columns alone. Defaults to None: not known.
            window (Window, optional): That 8-bit pictures are taken for; None if it is to be
                estimated. Defaults to the brain window.
            progress (Callable, optional): Called with the number of slices done, again and again.

        Returns:
            Segmentation | list[Segmentation]: A list for a list, and for a file or folder with
            several scans.

        Raises:
            CraniumError: There is no scan, or one that cannot be used.
            OSError: A file cannot be read.
        """
        several = isinstance(x, (list, tuple))
        with TemporaryDirectory(prefix='cranium-') as work:
            scans = _open_scans(x if several else [x], spacing, window, Path(work))
            found = list(self.segment_scans(scans, progress))
        return found if several or len(found) != 1 else found[0]

    def segment_scan(self, scan: Scan, progress: Progress | None = None) -> Segmentation:
        """Find hemorrhage in a scan.

        Args:
            scan (Scan): The scan.
            progress (Callable, optional): Called with the number of slices done, again and again.

        Raises:
            CraniumError: No head is seen in it.
        """
        return next(self.segment_scans([scan], progress))

    def segment_scans(
        self, scans: Iterable[Scan], progress: Progress | None = None
    ) -> Iterator[Segmentation]:
        """Find hemorrhage in scans, one after the other; lone slices go to the network together.

        Args:
            scans (Iterable[Scan]): Taken one by one, as they are needed.
            progress (Callable, optional): Called with the number of slices done, again and again.

        Raises:
            CraniumError: No head is seen in one of them.
        """
        waiting: list[AlignedScan] = []
        for scan in scans:
            waiting.append(AlignedScan.of(scan, self.network))
            if sum(len(each.layers) for each in waiting) >= self.batch_size:
                yield from self._finish(waiting, progress)
                waiting = []
        yield from self._finish(waiting, progress)

    def _finish(
        self, scans: Sequence[AlignedScan], progress: Progress | None
    ) -> Iterator[Segmentation]:
        places = [(each, layer) for each in scans for layer in range(len(each.layers))]
        for start in range(0, len(places), self.batch_size):
            batch = places[start : start + self.batch_size]
            views = np.stack([each.views(layer) for each, layer in batch])
            for (each, _), log_odds, score in zip(batch, *self._network(views)):
                done = each.add(log_odds, float(score))
                if progress is not None and done:
                    progress(done)
        for each in scans:
            yield each.describe()


def _open_scans(
    inputs: Sequence[Any], spacing: Sequence[float] | None, window: Window | None, work: Path
) -> Iterator[Scan]:
    for number, each in enumerate(inputs, start=1):
        if isinstance(each, Scan):
            yield each
        elif isinstance(each, (str, Path)):
            if spacing is not None:
                raise CraniumError(f'{each}: a file says its spacing itself; leave spacing out')
            yield from _read_scans(Path(each), window, work / str(number))
        else:
            name = 'array' if len(inputs) == 1 else f'array-{number}'
            yield scan_of_array(each, spacing, name)


def _read_scans(path: Path, window: Window | None, work: Path) -> Iterator[Scan]:
    from cranium.scans.find import find_scans, read_scan

    work.mkdir()
    found, faults = find_scans([path], work)
    if not found:
        message = faults[0].message if faults else f'{path}: no scan in it'
        raise CraniumError(message)
    for each in found:
        yield read_scan(each, window)
