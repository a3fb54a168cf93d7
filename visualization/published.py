"""Published results on ct-ich that a run may be put beside, with what they were measured on."""

from typing import NamedTuple


class Published(NamedTuple):
    """A published figure.

    Attributes:
        source (str): Who published it.
        measure (str): What it is, as its authors define it.
        value (str): The figure.
        protocol (str): On which split, and what else to mind.
        figure (str): Name of our figure that is defined alike.
    """

    source: str
    measure: str
    value: str
    protocol: str
    figure: str


PUBLISHED = (
    Published(
        'Hssayeni et al., Data 5(1):14, 2020 (U-Net)',
        "authors' Dice: mean over a patient's hemorrhage slices, then over patients",
        '0.31',
        "authors' five folds, without patient 070",
        'patient/authors_dice',
    ),
    Published(
        'Rasoulian et al., MLCN 2022 (Swin, weakly supervised)',
        'Dice',
        '0.407 ± 0.225',
        'by patients',
        'patient/authors_dice',
    ),
    Published(
        'Rasoulian et al., MLCN 2022 (Swin, weakly supervised)',
        'detection of hemorrhage, AUC',
        '0.974',
        'by patients',
        'detection/slice_auc',
    ),
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
        'by patients',
        'slice/dice_mean',
    ),
    Published(
        'The table that this project succeeds (fcn_unet_s5-d16)',
        'Dice of hemorrhage, pixels pooled; follows from mIoU 76.48 and mDice 84.68',
        '0.694',
        'split by slices: inflated',
        'pixel/dice_hemorrhage',
    ),
)
