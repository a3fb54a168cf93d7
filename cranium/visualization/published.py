"""Published results on ct-ich that a run may be put beside, with what they were measured on."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class Published(NamedTuple):
    """A row of ``published.csv``.

    Attributes:
        source (str): Who published it.
        measure (str): What it is, as its authors define it.
        value (str): The figure.
        protocol (str): On which split, and what else to mind.
        figure (str): Name of our figure that is defined alike.
        preferred (str): Name of the one that is defined alike to the patient, which a run gives
            on request only; it comes first where a run has it. Else empty.
    """

    source: str
    measure: str
    value: str
    protocol: str
    figure: str
    preferred: str


with open(Path(__file__).with_suffix('.csv'), encoding='utf-8', newline='') as _lines:
    PUBLISHED = tuple(Published(**row) for row in csv.DictReader(_lines))


def closest(published: Published, figures: Mapping[str, object]) -> str:
    """Name the figure of a run that a published one may be put beside: the preferred, if there."""
    return published.preferred if published.preferred in figures else published.figure
