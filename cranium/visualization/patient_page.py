"""A page to scroll through the slices of a patient."""

from collections.abc import Sequence
from typing import NamedTuple

from cranium.preparation.sheets import View
from cranium.slices import IGNORE_INDEX
from cranium.visualization.contact_sheet import Panel
from cranium.visualization.overlay import (
    COLOURS,
    CONVENTION,
    TRUTH,
    data_uri,
    outline_layer,
    resize,
)
from cranium.visualization.page import render

SIDE = 650  # pixels, as most slices have


class Slide(NamedTuple):
    """A slice on the page.

    Attributes:
        caption (str): What is to be seen.
        image (str): Address of its picture.
        outline (str): Address of the outline of the truth; empty without hemorrhage.
        bone (str): Address of the bone window; empty where there is none.
        unlabelled (bool): Whether nobody knows what is on it.
    """

    caption: str
    image: str
    outline: str
    bone: str
    unlabelled: bool


def patient_page(views: Sequence[View], patient: str) -> str:
    """Make a page to scroll through a patient: one file, with no other needed.

    Args:
        views (sequence): The patient's slices in their order.
        patient (str): Name of the patient.

    Returns:
        str: HTML. Wheel, arrow keys and slider change the slice, ``o`` the outline.
    """
    return render(
        'patient.html.jinja',
        patient=patient,
        slides=[_slide(view)._asdict() for view in views],
        colours=COLOURS,
        convention=CONVENTION,
    )


def _slide(view: View) -> Slide:
    image, truth = resize(view.image, SIDE), view.mask == 1
    return Slide(
        view.caption,
        image=data_uri(image),
        outline=data_uri(outline_layer(truth, TRUTH, image.size).quantize(4))
        if truth.any()
        else '',
        bone='' if view.bone is None else data_uri(resize(view.bone, SIDE)),
        unlabelled=bool((view.mask == IGNORE_INDEX).all()),
    )


def view_panels(views: Sequence[View]) -> list[Panel]:
    """Make panels of slices with the truth outlined, the bone window beside each that has one."""
    panels = []
    for view in views:
        panels.append(Panel(view.image, view.caption, {TRUTH: view.mask == 1}))
        if view.bone is not None:
            panels.append(Panel(view.bone, 'bone window'))
    return panels
