"""``cranium demo``."""

import os
import sys
from pathlib import Path

import click

from cranium.cli._options import PATH


@click.command(epilog='Example: cranium demo --port 7861')
@click.option(
    '--port',
    type=click.IntRange(0, 65535),
    default=7860,
    show_default=True,
    help='Of this machine; 0: any that is free.',
)
@click.option('--checkpoint', type=PATH, help='Weights, .pth or .onnx; default: the pretrained.')
@click.option('--config', type=PATH, help="The checkpoint's config; default: the one it holds.")
@click.option('--device', default='auto', show_default=True, help='cpu, cuda, cuda:1, mps.')
@click.option(
    '--no-browser',
    is_flag=True,
    help='Only say the address.',
)
def command(
    port: int, checkpoint: Path | None, config: Path | None, device: str, no_browser: bool
) -> None:
    """Segment scans on a local web page: DICOM, NIfTI, PNG, JPEG.

    The page shows each scan with what was found, and gives masks and tables to save. It is for this
    machine only, fetches nothing, and what was uploaded is deleted when it is closed. Not a medical
    device.
    """
    import importlib

    from cranium.errors import CraniumError

    for needed in ('starlette', 'uvicorn'):
        try:
            importlib.import_module(needed)
        except ModuleNotFoundError:
            msg = f"cranium demo needs {needed}: pip install 'cranium[demo]'"
            raise CraniumError(msg) from None
    from cranium.demo.serve import serve
    from cranium.demo.server import make_app
    from cranium.inference.segmenter import Segmenter

    segmenter = Segmenter.from_pretrained(checkpoint, config, device)
    # Without a screen, Python would open a browser of text in the terminal.
    screen = sys.platform == 'darwin' or {'DISPLAY', 'WAYLAND_DISPLAY'} & {*os.environ}
    browser = bool(screen) and sys.stdout.isatty() and not no_browser
    serve(make_app(segmenter.segment_scan, segmenter.network), port, browser)
