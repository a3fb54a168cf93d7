"""Masks and slices that several tests of the evaluation need."""

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image
from scipy import ndimage


@st.composite
def mask_pairs(draw, max_side=12):
    """A truth and a prediction of one shape, any of them possibly empty or full."""
    shape = draw(st.tuples(st.integers(1, max_side), st.integers(1, max_side)))
    mask = npst.arrays(np.uint8, shape, elements=st.integers(0, 1))
    return draw(mask), draw(mask)


def blobs(rng, shape=(64, 48), share=0.1, smoothness=3.0):
    """Lesion-like blobs: smoothed noise, of which the highest share is the mask."""
    noise = ndimage.gaussian_filter(rng.random(shape), smoothness)
    return (noise > np.quantile(noise, 1 - share)).astype(np.uint8)


def perturbed(rng, mask):
    """A prediction such as a model makes: shifted, grown or shrunk, with a false lesion."""
    copy = np.roll(mask, rng.integers(-6, 7, size=2), axis=(0, 1)).astype(bool)
    change = ndimage.binary_dilation if rng.random() < 0.5 else ndimage.binary_erosion
    copy = change(copy, iterations=int(rng.integers(1, 4)))
    if not copy.any():
        copy = mask.astype(bool)
    row, column = rng.integers(0, np.array(mask.shape) - 10)
    copy[row : row + 8, column : column + 5] |= rng.random() < 0.5
    return copy.astype(np.uint8)


@cache
def real_masks(count=24):
    """Every n-th hemorrhage mask of the ct-ich download under CT_ICH_ROOT."""
    root = os.environ.get('CT_ICH_ROOT')
    if not root:
        pytest.skip('CT_ICH_ROOT is not set: no real masks to test on')
    files = sorted(Path(root).glob('**/Patients_CT/*/brain/*_HGE_Seg.jpg'))
    if not files:
        pytest.skip(f'no Patients_CT/*/brain/*_HGE_Seg.jpg under CT_ICH_ROOT={root}')
    chosen = files[:: max(1, len(files) // count)]
    return [(np.asarray(Image.open(file).convert('L')) > 127).astype(np.uint8) for file in chosen]
