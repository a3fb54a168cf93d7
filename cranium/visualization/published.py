"""Published results on ct-ich that a run may be put beside, with what they were measured on."""

from collections.abc import Mapping
from typing import NamedTuple


class Published(NamedTuple):
    """A published figure.

    Attributes:
        source (str): Who published it.
        measure (str): What it is, as its authors define it.
        value (str): The figure.
        protocol (str): On which split, and what else to mind.
        figure (str): Name of our figure that is defined alike.
        preferred (str): Name of the one that is defined alike to the patient, which a run gives
            on request only; it comes first where a run has it.
    """

    source: str
    measure: str
    value: str
    protocol: str
    figure: str
    preferred: str = ''


_SWIN = 'Rasoulian et al., MLCN 2022 (Swin, weakly supervised)'
_MMSEG = 'The predecessor (fcn_unet_s5-d16, learning rate {})'
_BY_SLICES = 'split by slices: inflated'
_IMPOSSIBLE = '{} (impossible: the two exclude each other)'

PUBLISHED = (
    Published(
        'Hssayeni et al., Data 5(1):14, 2020 (U-Net)',
        "authors' Dice: mean over a patient's hemorrhage slices, then over patients",
        '0.31',
        "authors' five folds, without patient 070",
        'patient/authors_dice',
        'patient/authors_dice_without_070',
    ),
    Published(_SWIN, 'Dice', '0.407 ± 0.225', 'by patients', 'patient/authors_dice'),
    Published(_SWIN, 'detection, AUC', '0.974', 'by patients', 'detection/slice_auc'),
    Published(
        'HGI-SAM, MELBA 2023:012',
        'Dice: mean over hemorrhage slices',
        '0.44',
        'by patients',
        'slice/dice_mean',
    ),
    Published(
        'YOLO + uncertainty-SAM, arXiv 2407.20461',
        'Dice',
        '0.629',
        'by patients (could not be confirmed)',
        'slice/dice_mean',
    ),
    Published(
        _MMSEG.format('0.01'),
        'Dice of hemorrhage, pixels pooled; follows from mIoU 76.48 and mDice 84.68',
        '0.694',
        _BY_SLICES,
        'pixel/dice_hemorrhage',
    ),
    Published(_MMSEG.format('0.01'), 'mIoU', '76.48', _BY_SLICES, 'mIoU'),
    Published(_MMSEG.format('0.01'), 'mDice', '84.68', _BY_SLICES, 'mDice'),
    Published(_MMSEG.format('0.001'), 'mIoU', _IMPOSSIBLE.format('61.06'), _BY_SLICES, 'mIoU'),
    Published(_MMSEG.format('0.001'), 'mDice', _IMPOSSIBLE.format('63.69'), _BY_SLICES, 'mDice'),
    Published(_MMSEG.format('0.0001'), 'mIoU', _IMPOSSIBLE.format('58.87'), _BY_SLICES, 'mIoU'),
    Published(_MMSEG.format('0.0001'), 'mDice', _IMPOSSIBLE.format('62.42'), _BY_SLICES, 'mDice'),
)


def closest(published: Published, figures: Mapping[str, object]) -> str:
    """Name the figure of a run that a published one may be put beside: the preferred, if there."""
    return published.preferred if published.preferred in figures else published.figure
