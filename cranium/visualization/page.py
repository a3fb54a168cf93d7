"""Pages of HTML, and views of a data set: on a page to scroll through, or as panels."""

from collections.abc import Sequence
from typing import Any

from cranium.preparation.sheets import View
from cranium.slices import IGNORE_INDEX
from cranium.visualization import overlay
from cranium.visualization.contact_sheet import Panel
from cranium.visualization.overlay import TRUTH, data_uri, layer_uri, resize

SIDE = 650  # pixels, as most slices have


def patient_page(views: Sequence[View], patient: str) -> str:
    """Make an HTML page to scroll through a patient's slices; it loads no other file."""
    return render(
        'patient.html.jinja',
        patient=patient,
        slides=list(map(_slide, views)),
        colours=overlay.CSS,
        convention=overlay.CONVENTION,
    )


def _slide(view: View) -> dict[str, str | bool]:
    """What the page's script needs: addresses, empty where there is nothing to be seen."""
    image, truth = resize(view.image, SIDE), view.mask == 1
    outline = overlay.outline_layer(truth, TRUTH, image.size)
    return {
        'caption': view.caption,
        'image': data_uri(image),
        'outline': layer_uri(outline) if truth.any() else '',
        'bone': '' if view.bone is None else data_uri(resize(view.bone, SIDE)),
        'unlabelled': bool((view.mask == IGNORE_INDEX).all()),
    }


def view_panels(views: Sequence[View]) -> list[Panel]:
    """Make panels of slices with the truth outlined, the bone window beside each that has one."""
    panels = []
    for view in views:
        panels.append(Panel(view.image, view.caption, {TRUTH: view.mask == 1}))
        if view.bone is not None:
            panels.append(Panel(view.bone, 'bone window'))
    return panels


def render(template: str, **context: Any) -> str:
    """Fill a template of ``templates/``; what goes into HTML is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader('cranium.visualization'),
        autoescape=select_autoescape(['html.jinja']),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(context)
