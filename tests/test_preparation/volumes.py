"""Scans and masks of one's own: heads of 24 x 24 pixels, three slices each."""

import json
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

AFFINE = np.array([[-0.5, 0, 0, 6], [0, -0.5, 0, 6], [0, 0, 4, 0], [0, 0, 0, 1.0]])


def head(seed: int) -> NDArray[np.int16]:
    """HU of (3, 24, 24): brain in a skull in air."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[-11.5:12.5, -11.5:12.5]
    distance = np.hypot(y, x)
    hu = np.where(distance < 9, 35, np.where(distance < 11, 900, -1000))
    return np.int16(hu + random.integers(-9, 10, (3, 24, 24)))


def blood(bleeds: bool) -> NDArray[np.uint8]:
    """A mask of (3, 24, 24): in the second slice a square of 4 x 4, and in the third one of 2."""
    mask = np.zeros((3, 24, 24), np.uint8)
    if bleeds:
        mask[1, 8:12, 10:14] = mask[2, 8:10, 10:12] = 1
    return mask


def save(path: Path, slices: NDArray, affine: NDArray = AFFINE) -> Path:
    """Save (N, H, W) as NIfTI."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(slices.transpose(2, 1, 0)), affine), path)
    return path


def write_nnunet(root: Path) -> Path:
    """Write five cases in nnU-Net's layout; the first three bleed."""
    for number in range(1, 6):
        save(root / f'imagesTr/ICH_{number}_0000.nii.gz', head(number))
        save(root / f'labelsTr/ICH_{number}.nii.gz', blood(number < 4))
    labels = {'labels': {'background': 0, 'hemorrhage': 1}}
    (root / 'dataset.json').write_text(json.dumps(labels))
    return root
