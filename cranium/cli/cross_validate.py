"""``cranium cross-validate``."""

import shlex
from pathlib import Path
from typing import Any

import click

from cranium.cli._options import PATH, ManyValues
from cranium.errors import CraniumError


@click.command(
    cls=ManyValues,
    epilog='Example: cranium cross-validate configs/my_unet.py --data data --seed 1',
)
@click.argument('config', type=PATH)
@click.option('--data', type=PATH, default='data', help='The prepared tree.  [default: data]')
@click.option(
    '--fold', 'chosen', type=int, multiple=True, help='Only these folds, without pooling.'
)
@click.option(
    '--work-dir', type=PATH, help='[default: work_dirs/<config>, with a seed .../seed_<seed>]'
)
@click.option(
    '--seed',
    type=click.IntRange(0, 2**32 - 1),
    help="What the training draws with.  [default: the config's own]",
)
@click.option('--cfg-options', multiple=True, metavar='K=V...', help='Settings, as for mim train.')
@click.option(
    '--launcher',
    type=click.Choice(['none', 'pytorch', 'slurm']),
    default='none',
    help='As for mim train.',
)
@click.option('--gpus', type=click.IntRange(min=1), help='Processes of a launcher, one per GPU.')
@click.option('--gpus-per-node', type=click.IntRange(min=1), help='For slurm.  [default: all]')
@click.option('--partition', help='For slurm.')
@click.option('--alone', is_flag=True, help='Test each slice as if its scan had no other.')
@click.option('--dry-run', is_flag=True, help='Only say what would be done.')
@click.option('--pool-only', is_flag=True, help='Only pool the folds that are finished.')
def command(
    config: Path,
    data: Path,
    chosen: tuple[int, ...],
    work_dir: Path | None,
    seed: int | None,
    cfg_options: tuple[str, ...],
    alone: bool,
    dry_run: bool,
    pool_only: bool,
    **launch: Any,
) -> None:
    """Train and test the experiment CONFIG on every fold, and pool the tested patients.

    The folds are those of a tree that was prepared with --split authors or --split patient. Each
    trains on all patients that it does not test, and its last checkpoint is tested. The same
    command again skips finished folds and goes on with interrupted ones; with --alone it tests the
    networks that are there once more.
    """
    launcher = _launcher(**launch)
    if chosen and pool_only:
        raise click.UsageError('--pool-only pools all finished folds, so leave out --fold')
    from cranium.engine.cross_validation import FINISHED, Fold, fold_config, read_folds
    from cranium.evaluation import pooling, results
    from cranium.evaluation.estimate import format_table

    work_dir = work_dir or Path('work_dirs', config.stem, f'seed_{seed}' if seed else '')
    options = [*cfg_options, f'cross_validation.processes={launch["gpus"] or 1}']
    options += [] if seed is None else [f'randomness.seed={seed}']
    folds, notes = {}, []
    for number, (train, test) in enumerate(read_folds(data)):
        if train and test:
            folder = work_dir / f'fold_{number}'
            folds[number] = Fold(
                fold_config(config, options, data, (train, test), folder), launcher, alone
            )
        else:
            lacking = 'test' if train else 'train on'
            notes.append(f'Fold {number} is skipped: {data} has nobody to {lacking}.')
            click.echo(notes[-1])
    for number in set(chosen) - set(folds):
        raise CraniumError(f'--fold {number}: choose from {", ".join(map(str, folds))}')
    for number in () if pool_only else sorted(set(chosen)) or folds:
        fold = folds[number]
        state = fold.state()
        click.echo(f'fold {number}: {state}')
        if dry_run:
            for arguments in fold.commands(state):
                click.echo(f'  {shlex.join(arguments)}')
        else:
            fold.run()
    if dry_run or chosen:
        return
    finished = {
        n: results.read_results(f.results) for n, f in folds.items() if f.state() == FINISHED
    }
    notes += [f'Fold {number} is not finished.' for number in folds if number not in finished]
    name = ', '.join([config.stem, *[f'seed {seed}'] * bool(seed), *['slices alone'] * alone])
    pooled = pooling.pool(finished, name=name, notes=notes)
    pooled_dir = work_dir / ('pooled-alone' if alone else 'pooled')
    results.write_results(pooled, pooled_dir)
    click.echo(format_table(pooled.figures))
    for warning in pooled.warnings:
        click.echo(f'Note: {warning}')
    click.echo(f'{len(finished)} folds pooled; all figures are in {pooled_dir}')


def _launcher(
    launcher: str, gpus: int | None, gpus_per_node: int | None, partition: str | None
) -> tuple[str, ...]:
    """Arguments of mim that start several processes."""
    if launcher == 'none':
        if gpus or gpus_per_node or partition:
            raise click.UsageError('--gpus, --gpus-per-node and --partition are for a --launcher')
        return ()
    if not gpus:
        raise click.UsageError(f'--launcher {launcher} needs --gpus')
    arguments = ['--launcher', launcher, '--gpus', str(gpus)]
    if launcher == 'slurm':
        if not partition:
            raise click.UsageError('--launcher slurm needs --partition')
        arguments += ['--gpus-per-node', str(gpus_per_node or gpus), '--partition', partition]
    return tuple(arguments)
