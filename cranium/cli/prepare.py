"""``cranium prepare``."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cranium.cli._options import PATH, progress_bar, workers
from cranium.cli.check import print_findings
from cranium.splits import PROTOCOLS

if TYPE_CHECKING:
    from cranium.preparation.raw import RawDataset


@click.command(
    context_settings={'show_default': True},
    epilog='Example: cranium prepare --source archive.zip --out data --split authors --fold 1',
)
@click.option(
    '--source',
    type=PATH,
    default='data',
    help='The download: its zip, its folder, or a folder that holds either.',
)
@click.option(
    '--images', type=PATH, metavar='DIR', help='Scans of your own instead: DICOM or NIfTI.'
)
@click.option('--labels', type=PATH, metavar='DIR', help='Their masks: NIfTI or DICOM-SEG.')
@click.option(
    '--slice-mm',
    type=click.FloatRange(min=1),
    metavar='MM',
    help='Average thin slices of yours to this; 5 as in ct-ich.  [default: as they are]',
)
@click.option('--out', type=PATH, default='data', help='Folder for the result.')
@click.option('--split', type=click.Choice(PROTOCOLS), help='Protocol.  [default: patient]')
@click.option(
    '--folds', type=click.IntRange(min=2), help='Number of folds; the authors have 5.  [default: 5]'
)
@click.option('--fold', type=click.IntRange(min=0), default=0, help='The fold to hold out.')
@click.option(
    '--seed', type=click.IntRange(0, 2**32 - 1), help='To draw the folds with.  [default: 0]'
)
@click.option(
    '--splits', type=PATH, metavar='FILE', help='Take protocol and folds from this splits.json.'
)
@click.option(
    '--window',
    type=click.Choice(['brain', 'bone', 'hu']),
    default='brain',
    help='8-bit gray of one CT window, or 16-bit HU + 32768 of both.',
)
@click.option(
    '--mask-threshold',
    type=click.IntRange(0, 254),
    default=127,
    help="Mask pixels above it are hemorrhage; mmseg's project used 254.",
)
@click.option(
    '--unlabelled',
    type=click.Choice(['drop', 'keep']),
    default='drop',
    help='Slices with hemorrhage but no mask: left out, or kept with mask 255.',
)
@click.option(
    '--errata',
    type=click.Choice(['apply', 'ignore']),
    default='apply',
    help='Known faults of the download: corrected in scans that show them, or left as they are.',
)
@click.option('--jobs', type=click.IntRange(min=1), help='Processes.  [default: one per core]')
@click.option('--overwrite', is_flag=True, help='Replace a tree that has other options or changes.')
@click.option('--check', is_flag=True, help='Only verify the tree in --out.')
@click.option('--dry-run', is_flag=True, help='Only say what would be written.')
def command(
    source: Path,
    images: Path | None,
    labels: Path | None,
    out: Path,
    splits: Path | None,
    jobs: int | None,
    overwrite: bool,
    check: bool,
    dry_run: bool,
    **options: Any,
) -> None:
    """Prepare the ct-ich download, or scans of your own, for training.

    That is images, 0/1 masks, splits and a manifest.
    """
    if check and dry_run:
        raise click.UsageError('--check: not with --dry-run')
    if (images is None) != (labels is None):
        raise click.UsageError('--images and --labels: give both')
    if options['slice_mm'] and not images:
        raise click.UsageError('--slice-mm: only with --images')
    drawn = {name: options.pop(name) for name in ('split', 'folds', 'seed')}
    drawn = {name: value for name, value in drawn.items() if value is not None}
    if splits and drawn:
        raise click.UsageError(f'--{next(iter(drawn))}: not with --splits, whose file decides it')
    if drawn.get('split') == 'authors' and drawn.get('folds', 5) != 5:
        raise click.UsageError('--folds: the authors made 5')
    folds = drawn.get('folds', 5)
    if splits is None and options['fold'] >= folds:
        raise click.UsageError(f'--fold: choose from 0 to {folds - 1}')

    import tempfile

    from cranium.preparation.plan import Options, make_plan
    from cranium.preparation.prepare import refuse_loss, write_plan
    from cranium.tables import markdown_table

    if check:
        print_findings(out)
        return
    chosen = Options(splits_file=splits, **drawn, **options)
    with tempfile.TemporaryDirectory() as work:  # for zips among the images
        read, slices = _look(source, images, labels, Path(work), options['slice_mm'])
        with workers(jobs, slices):
            plan = make_plan(read(), chosen)
            if dry_run:
                refuse_loss(plan, out, overwrite)
                outcome = 'nothing written (dry run)'
            else:
                with progress_bar(len(plan.slices)) as progress:
                    written = write_plan(plan, out, overwrite=overwrite, progress=progress)
                outcome = f'{written} slices written'
    header = ['split', 'patients', 'slices', 'hemorrhage patients', 'hemorrhage slices']
    rows = [[split, *numbers.values()] for split, numbers in plan.counts().items()]
    click.echo(markdown_table(header, rows))
    click.echo(
        f'{plan.splits.protocol} split, fold {plan.options.fold} of {len(plan.splits.folds)}'
    )
    for remark in plan.remarks():
        click.echo(remark)
    click.echo(f'{out}: {outcome}')


def _look(
    source: Path, images: Path | None, labels: Path | None, work: Path, slice_mm: float | None
) -> 'tuple[Callable[[], RawDataset], int]':
    """Look what there is: a function that reads it, and about how many slices these are."""
    from cranium.preparation.raw import read_raw
    from cranium.preparation.source import find_source
    from cranium.preparation.volumes import find_volumes, read_volumes

    if images and labels:
        volumes = find_volumes(images, labels, work, slice_mm)
        return lambda: read_volumes(volumes), 30 * len(volumes.cases)
    raw = read_raw(find_source(source))
    return lambda: raw, len(raw.slices)
