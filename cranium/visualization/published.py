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


PREDECESSOR = 'fcn_unet_s5-d16'
PUBLISHED = (
    Published(
        'Hssayeni et al., Data 5(1):14, 2020 (U-Net)',
        "authors' Dice: mean over a patient's hemorrhage slices, then over patients",
        '0.31',
        "authors' five folds, without patient 070",
        'patient/authors_dice',
        'patient/authors_dice_without_070',
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
        f'The table that this project succeeds ({PREDECESSOR})',
        'Dice of hemorrhage, pixels pooled; follows from mIoU 76.48 and mDice 84.68',
        '0.694',
        'split by slices: inflated',
        'pixel/dice_hemorrhage',
    ),
    *(
        Published(
            f'The table that this project succeeds ({PREDECESSOR}, learning rate {rate})',
            measure,
            value + ('' if possible else ' (impossible: the two exclude each other)'),
            'split by slices: inflated',
            measure,
        )
        for rate, miou, mdice, possible in (
            ('0.01', '76.48', '84.68', True),
            ('0.001', '61.06', '63.69', False),
            ('0.0001', '58.87', '62.42', False),
        )
        for measure, value in (('mIoU', miou), ('mDice', mdice))
    ),
)


def closest(published: Published, figures: Mapping[str, object]) -> str:
    """Name of the figure of a run that a published one may be put beside.

    Args:
        published (Published): The published figure.
        figures (mapping): The run's figures by name.

    Returns:
        str: The preferred one where the run has it.
    """
    return published.preferred if published.preferred in figures else published.figure
