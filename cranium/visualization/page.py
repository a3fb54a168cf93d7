"""The frame of a self-contained HTML page: style for light and dark, phone and desk, no network."""

from html import escape

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c2127; --faint: #5b6570;
  --rule: #d5dae0; --panel: #f4f6f8; --first: #1f5fbf; --second: #b4450b; --third: #2d7a3a;
  --warn-paper: #fff4d6; --warn-rule: #b57f00; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181d; --ink: #e6e9ed; --faint: #a3adb8;
  --rule: #39424c; --panel: #1d232a; --first: #7db1ff; --second: #ff9e64; --third: #7fd08c;
  --warn-paper: #33290c; --warn-rule: #d9a72c; } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; scroll-padding-top: 3.5rem; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
main, header { max-width: 74rem; margin: 0 auto; padding: 0 1rem; }
h1 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--rule); }
a { color: var(--first); } p, li { max-width: 48rem; }
:focus-visible { outline: 3px solid var(--first); outline-offset: 2px; }
.skip { position: absolute; left: -100rem; } .skip:focus { left: 1rem; top: 1rem; z-index: 3;
  background: var(--paper); padding: .5rem; }
nav { position: sticky; top: 0; z-index: 2; background: var(--paper); padding: .5rem 1rem;
  border-bottom: 1px solid var(--rule); overflow-x: auto; white-space: nowrap; }
nav a { margin-right: 1rem; display: inline-block; padding: .25rem 0; }
.warning { background: var(--warn-paper); border-left: 4px solid var(--warn-rule);
  padding: .6rem 1rem; margin: .6rem 0; max-width: 48rem; }
.scroll { overflow-x: auto; } .faint { color: var(--faint); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--rule);
  vertical-align: top; } [data-figure] { white-space: nowrap; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr));
  gap: 1.5rem; } .charts figure { margin: 0; } .charts figcaption { font-size: .9rem; }
.chart { width: 100%; max-width: 36rem; height: auto; display: block; }
.chart text { font-size: 12px; fill: var(--faint); } .chart .label { fill: var(--ink); }
.chart .legend, .chart .note { fill: var(--ink); paint-order: stroke; stroke: var(--paper);
  stroke-width: 3px; }
.chart path { fill: none; } .grid { stroke: var(--rule); stroke-width: .7; }
.axis { stroke: var(--faint); } .line { stroke-width: 2; }
.line.first { stroke: var(--first); } .line.second { stroke: var(--second); }
.line.second { stroke-dasharray: 7 3; } .line.third { stroke: var(--third); }
.line.chance { stroke: var(--faint); stroke-dasharray: 2 4; stroke-width: 1.5; }
.dot { fill-opacity: .55; stroke-width: 1; }
.dot.first { fill: var(--first); stroke: var(--first); }
.dot.second { fill: var(--second); stroke: var(--second); }
.track { fill: var(--panel); } .bar { fill: var(--first); }
.strip { display: flex; gap: .8rem; overflow-x: auto; scroll-snap-type: x proximity;
  padding: .3rem .3rem .8rem; }
.slice { margin: 0; flex: none; width: min(75vw, 16rem); scroll-snap-align: start; }
.slice div { position: relative; background: #000; aspect-ratio: 1; display: flex; }
.slice img { width: 100%; height: 100%; object-fit: contain; }
.slice .outlines { position: absolute; inset: 0; width: 100%; height: 100%; }
.slice path { fill: none; stroke-width: 2; vector-effect: non-scaling-stroke; }
.slice .truth, .key .truth { stroke: #35e0d0; }
.slice .prediction, .key .prediction { stroke: #ffb020; stroke-dasharray: 5 2.5; }
.slice figcaption { font-size: .85rem; } .missing { margin: auto; color: #bbb; }
.key { display: flex; gap: 1.5rem; flex-wrap: wrap; align-items: center; }
.key svg { width: 2.5rem; height: .8rem; background: #222; } .key path { stroke-width: 3; }
.key label { display: inline-flex; gap: .4rem; align-items: center; padding: .4rem 0; }
body:has(#show-truth:not(:checked)) .slice .truth { display: none; }
body:has(#show-prediction:not(:checked)) .slice .prediction { display: none; }
summary { cursor: pointer; padding: .5rem 0; } details { border-bottom: 1px solid var(--rule); }
pre { background: var(--panel); padding: .8rem; overflow: auto; max-height: 24rem;
  font-size: .8rem; }
@media print { nav, .key input { display: none; } }
"""


def page(title: str, sections: dict[str, str]) -> str:
    """Put sections into a page with a list of them to jump to.

    Args:
        title (str): Title of the page.
        sections (dict): HTML by heading; empty ones are left out.

    Returns:
        str: An HTML document that loads nothing.
    """
    shown = {name: html for name, html in sections.items() if html}
    links = ''.join(f'<a href="#{_anchor(name)}">{escape(name)}</a>' for name in shown)
    body = ''.join(
        f'<section aria-labelledby="{_anchor(name)}"><h2 id="{_anchor(name)}">{escape(name)}</h2>'
        f'{html}</section>'
        for name, html in shown.items()
    )
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        # Without an icon of its own a browser would ask the network for one.
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title><style>{STYLE}</style>'
        '</head>'
        f'<body><a class="skip" href="#content">Skip to the content</a>'
        f'<header><h1>{escape(title)}</h1></header><nav aria-label="Sections">{links}</nav>'
        f'<main id="content">{body}</main></body></html>'
    )


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table that scrolls by itself where it is wider than the screen.

    Args:
        header (tuple): Texts of the header.
        rows (list): Of each row its cells, as HTML.

    Returns:
        str: HTML.
    """
    head = ''.join(f'<th scope="col">{escape(text)}</th>' for text in header)
    body = ''.join(f'<tr>{"".join(f"<td>{cell}</td>" for cell in row)}</tr>' for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(header[0])} table">'
        f'<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _anchor(name: str) -> str:
    return ''.join(c if c.isalnum() else '-' for c in name.lower())
