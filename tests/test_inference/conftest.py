from pathlib import Path

import cv2
import numpy as np
import pytest

from cranium.inference.segmenter import Segmenter
from cranium.preparation.plan import Options, make_plan
from cranium.preparation.prepare import write_plan
from cranium.preparation.raw import read_raw
from cranium.preparation.source import find_source
from cranium.windows import decode_hu
from tests.conftest import ROOT


@pytest.fixture(scope='session')
def segmenter():
    """With the pretrained weights."""
    return Segmenter.from_pretrained(device='cpu')


@pytest.fixture(scope='session')
def sample_tree(tmp_path_factory):
    """HU of data/sample, prepared; no manifest, so that the head is found in the slices."""
    tree = tmp_path_factory.mktemp('sample') / 'data'
    raw = read_raw(find_source(ROOT / 'data/sample'))
    write_plan(make_plan(raw, Options(window='hu')), tree)
    (tree / 'manifest.csv').unlink()
    return tree


@pytest.fixture(scope='session')
def read_patient(sample_tree):
    """Reads all slices of a patient of the sample, (N, H, W) in HU, and their files."""

    def read(patient: str) -> tuple[np.ndarray, list[Path]]:
        files = sorted(sample_tree.glob(f'images/*/{patient}_*.png'))
        images = [cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in files]
        return np.stack([decode_hu(image) for image in images]), files

    return read
