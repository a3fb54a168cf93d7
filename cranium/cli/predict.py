"""``cranium predict``."""

import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cranium.cli._options import PATH, ManyValues

if TYPE_CHECKING:
    from cranium.inference.predict import Outcome
    from cranium.inference.share import Share
    from cranium.scans.find import Found

FORMATS = ('mask', 'nifti', 'dicom-seg', 'overlay', 'probability')
EXAMPLE = """\b
Example: cranium predict scan.dcm --out results
         cranium predict study/ more.zip ct.nii.gz --out results --save nifti overlay --report
         cranium predict pictures/ --out results --window 35 80"""
_UNKNOWN = 30  # slices of a file that may hold any number of them


@click.command(cls=ManyValues, epilog=EXAMPLE)
@click.argument('inputs', type=PATH, nargs=-1, required=True, metavar='INPUT...')
@click.option('--out', type=PATH, required=True, help='Folder for the results.')
@click.option(
    '--save',
    type=click.Choice(FORMATS),
    multiple=True,
    help='What to write. Default: overlay, and dicom-seg of DICOM, nifti of NIfTI, mask of'
    ' pictures.',
)
@click.option('--report', is_flag=True, help='Write report.html: all scans on one page.')
@click.option(
    '--window',
    type=float,
    nargs=2,
    metavar='LEVEL WIDTH',
    help='CT window that 8-bit pictures show, in HU. Default: 40 120.',
)
@click.option(
    '--estimate-window', is_flag=True, help='Estimate that window from the brain in them instead.'
)
@click.option('--checkpoint', type=PATH, help='Weights, .pth or .onnx. Default: the pretrained.')
@click.option('--config', type=PATH, help='Config of the checkpoint, where it is another.')
@click.option('--device', default='auto', show_default=True, help='Such as cpu or cuda:0.')
@click.option('--anonymize', is_flag=True, help='Write nothing of the patient to the results.')
@click.option('--overwrite', is_flag=True, help='Do again what an earlier run did.')
def command(
    inputs: tuple[Path, ...],
    out: Path,
    save: tuple[str, ...],
    window: tuple[float, float] | None,
    estimate_window: bool,
    checkpoint: Path | None,
    config: Path | None,
    device: str,
    **flags: bool,
) -> None:
    """Find hemorrhage in scans: DICOM, NIfTI, PNG and JPEG, folders and zips of them.

    Writes masks and pictures below DIR, and the tables scans.csv, slices.csv and lesions.csv. Run
    it again to do what is missing. Not a medical device.
    """
    if window and window[1] <= 0:
        raise click.UsageError(f'--window: the width must be above 0, not {window[1]:g}')
    if window and estimate_window:
        raise click.UsageError('--window says what --estimate-window would find; leave one out')

    from cranium.inference.predict import Settings, predict
    from cranium.inference.share import find_share
    from cranium.windows import BRAIN, Window

    share = find_share()
    shown = Window(*window) if window else None if estimate_window else BRAIN
    settings = Settings(save=tuple(dict.fromkeys(save)), window=shown, **flags)
    # Libraries warn with the very words of a file, which may tell of a patient. What a user should
    # know is among the remarks.
    os.environ.setdefault('OPENCV_LOG_LEVEL', 'SILENT')
    with warnings.catch_warnings(), _Terminal(share) as terminal:
        warnings.simplefilter('ignore')
        succeeded = predict(inputs, out, (checkpoint, config, device), settings, terminal, share)
    terminal.conclude(out)
    if not succeeded:
        raise SystemExit(1)


class _Terminal:
    """Says what happens: a line for each scan, and a bar with the time left on a terminal."""

    def __init__(self, share: 'Share') -> None:
        self._share = share
        self._bar: Any = None
        self._outcomes: list[Outcome] = []
        self._position = 0.0
        self._ended = 0
        self._said: set[str] = set()

    def __enter__(self) -> '_Terminal':
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.__exit__(*error)
            self._bar = None

    def begin(self, scans: 'Sequence[Found]', of: int) -> None:
        if self._share.size > 1:
            click.echo(
                f'process {self._share.rank} of {self._share.size}: {len(scans)} of {of} scans'
            )
        if _on_terminal():
            slices = sum(_slices(scan) for scan in scans)
            self._bar = click.progressbar(length=slices, label='slices', file=sys.stderr)
            self._bar.__enter__()

    def advance(self, scan: 'Found', slices: int, of: int) -> None:
        """Move the bar; a file that may hold any number of slices counts as ``_UNKNOWN``."""
        self._move_to(self._position + slices * _slices(scan) / of)

    def _move_to(self, position: float) -> None:
        if self._bar is not None:
            self._bar.update(int(position) - int(self._position))
        self._position = position

    def end(self, scan: 'Found | None', outcome: 'Outcome') -> None:
        self._outcomes.append(outcome)
        if scan is not None:
            self._ended += _slices(scan)
            self._move_to(self._ended)
        if self._bar is not None:
            click.echo('\r\x1b[K', nl=False, err=True)
        if outcome.line:
            click.echo(outcome.line)
        if outcome.problem:
            click.echo(f'failed: {outcome.problem}', err=True)
        # Most remarks are the same for every scan.
        for remark in outcome.remarks:
            if remark not in self._said:
                click.echo(f'  {remark}')
                self._said.add(remark)
        if self._bar is not None:
            self._bar.render_progress()

    def conclude(self, out: Path) -> None:
        """Say how it went, and list what failed."""
        problems = [outcome.problem for outcome in self._outcomes if outcome.problem]
        if problems and len(self._outcomes) > 1:
            click.echo(f'{len(problems)} of {len(self._outcomes)} failed:', err=True)
            for problem in problems:
                click.echo(f'  {problem}', err=True)
        click.echo(out / 'scans.csv')


def _slices(scan: 'Found') -> int:
    return _UNKNOWN if len(scan.files) == 1 and scan.kind != 'pictures' else len(scan.files)


def _on_terminal() -> bool:
    return sys.stderr.isatty()
