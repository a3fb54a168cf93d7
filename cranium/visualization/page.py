"""Filling the templates of pages."""

from typing import Any


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
