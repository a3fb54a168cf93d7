"""The real scans that come with the package, in Hounsfield units."""

import io
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

import cranium
from cranium.scans.scan import Scan
from cranium.slices import split_types

if TYPE_CHECKING:
    from cranium.preparation.raw import RawDataset

FOLDER = Path(cranium.__file__).parent / '.mim/data/sample'
ATTRIBUTION = (
    'Samples: M. D. Hssayeni et al., ct-ich 1.0.0, PhysioNet, CC BY 4.0. The pretrained weights '
    'were trained on these patients, so they say that the program works, not how well.'
)
THUMBNAIL = 96  # pixels


@dataclass(frozen=True)
class Sample:
    """A scan of the sample.

    Args:
        patient (str): Whose.
        slices (int): How many.
        types (tuple[str, ...]): Of hemorrhage, as radiologists saw it.
    """

    patient: str
    slices: int
    types: tuple[str, ...]


@cache
def list_samples() -> tuple[Sample, ...]:
    """List the scans of the sample."""
    samples = []
    for patient, slices in groupby(_raw().slices, key=lambda item: item.patient):
        scan = list(slices)
        types = sorted({name for item in scan for name in split_types(item.types)})
        samples.append(Sample(patient, len(scan), tuple(types)))
    return tuple(samples)


def read_sample(patient: str) -> Scan:
    """Read a scan of the sample, from its brain and its bone window.

    Args:
        patient (str): Of :func:`list_samples`.
    """
    from cranium.preparation.hounsfield import combine
    from cranium.preparation.images import MASK_THRESHOLD
    from cranium.preparation.scans import check_scan, correct
    from cranium.scans.pictures import decode_jpeg

    raw = _raw()
    slices = [item for item in raw.slices if item.patient == patient]
    check, _ = check_scan(raw.source, MASK_THRESHOLD, slices)
    planes, files = [], []
    for item in correct(slices, [check]):
        brain, bone = (
            None if name is None else decode_jpeg(raw.source.read(name), name)
            for name in (item.brain, item.bone)
        )
        assert brain is not None
        planes.append(combine(brain, bone, item.brain_window, item.bone_window))
        files.append(item.brain)
    return Scan(np.stack(planes), patient, f'sample {patient}', tuple(files))


@cache
def thumbnail(patient: str) -> bytes:
    """Draw the middle slice of a scan of the sample, as PNG."""
    from cranium.scans.pictures import decode_jpeg

    raw = _raw()
    slices = [item for item in raw.slices if item.patient == patient]
    brain = slices[len(slices) // 2].brain
    image = Image.fromarray(decode_jpeg(raw.source.read(brain), brain))
    buffer = io.BytesIO()
    image.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS).save(buffer, 'PNG')
    return buffer.getvalue()


@cache
def _raw() -> 'RawDataset':
    from cranium.preparation.raw import read_raw
    from cranium.preparation.source import find_source

    return read_raw(find_source(FOLDER))
