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
@click.option('--checkpoint', type=PATH, help='Weights, .pth or .onnx. Default: the pretrained.')
@click.option('--config', type=PATH, help='Config of the checkpoint, where it is another.')
@click.option('--device', default='auto', show_default=True, help='Such as cpu or cuda:0.')
@click.option(
    '--window',
    type=float,
    nargs=2,
    metavar='LEVEL WIDTH',
    default=(40, 120),
    show_default=True,
    help='CT window that 8-bit pictures show, in HU.',
)
@click.option('--no-browser', is_flag=True, help='Only say the address.')
def command(
    port: int,
    checkpoint: Path | None,
    config: Path | None,
    device: str,
    window: tuple[float, float],
    no_browser: bool,
) -> None:
    """Segment scans on a local web page: DICOM, NIfTI, PNG, JPEG.

    The page shows each scan with what was found, and gives masks and tables to save. It is for this
    machine only, fetches nothing, and what was uploaded is deleted when it is closed. Not a medical
    device.
    """
    if window[1] <= 0:
        raise click.UsageError(f'--window: the width must be above 0, not {window[1]:g}')

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
    from cranium.windows import Window

    segmenter = Segmenter.from_pretrained(checkpoint, config, device)
    # Without a screen, Python would open a browser of text in the terminal.
    screen = sys.platform == 'darwin' or {'DISPLAY', 'WAYLAND_DISPLAY'} & {*os.environ}
    browser = bool(screen) and sys.stdout.isatty() and not no_browser
    app = make_app(segmenter.segment_scan, segmenter.network, window=Window(*window))
    serve(app, port, browser)
