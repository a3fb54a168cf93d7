"""Train and test every fold of a cross-validation, and pool their patients for the figures.

    python tools/cross_validate.py CONFIG

Each fold trains on all patients that it does not test, and its last checkpoint is tested. Finished
folds are skipped and interrupted ones go on, so the same command again does what is left. See
docs/cross_validation.md.
"""

import argparse
import shlex
from pathlib import Path

from _cli import run as run_command
from _progress import progress_bar, workers

from cranium.evaluation import pooling, provenance, results
from cranium.evaluation.cross_validation import FINISHED, TRAINED, FoldRun, Launch
from cranium.preparation import folds
from cranium.preparation.errors import DataError
from cranium.preparation.plan import WINDOWS, Options
from cranium.preparation.raw import RawDataset, read_raw
from cranium.preparation.source import find_source
from cranium.preparation.tree import SPLITS, read_dataset_json


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('config', type=Path, metavar='CONFIG', help='the experiment')
    add('--source', type=Path, default=Path('data'), help='the download (default: data)')
    add(
        '--split',
        choices=('authors', 'patient'),
        default='authors',
        help='whose folds (default: authors)',
    )
    add('--folds', type=int, help='number of folds (default: 5; the authors have 5)')
    add('--fold', type=int, nargs='+', metavar='K', help='only these folds, and do not pool')
    add('--work-dir', type=Path, help='default: work_dirs/<config>, with a seed .../seed_<seed>')
    add('--window', choices=WINDOWS, default='brain', help='CT window (default: brain)')
    add('--seed', type=int, help="what the training draws with (default: the config's own)")
    add('--cfg-options', nargs='+', default=[], metavar='K=V', help='settings, as for mim train')
    add('--launcher', choices=('none', 'pytorch', 'slurm'), default='none', help='as for mim train')
    add('--gpus', type=int, help='processes of a launcher, one a GPU')
    add('--gpus-per-node', type=int, help='of these on a node, for slurm (default: all)')
    add('--partition', help='for slurm')
    only = parser.add_mutually_exclusive_group()
    only.add_argument('--dry-run', action='store_true', help='only say what would be done')
    only.add_argument('--pool-only', action='store_true', help='only pool the folds that are done')
    args = parser.parse_args()
    check_args(parser, args)
    if args.work_dir is None:
        seed = f'seed_{args.seed}' if args.seed else ''
        args.work_dir = Path('work_dirs') / args.config.stem / seed
    if args.seed is not None:
        args.cfg_options.append(f'randomness.seed={args.seed}')
    return args


def check_args(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse arguments that do not go together."""
    if args.folds is not None and args.folds < 2:
        parser.error('--folds: at least 2')
    if args.split == 'authors' and args.folds not in (None, 5):
        parser.error('--folds: the authors made 5')
    if args.fold and args.pool_only:
        parser.error('--pool-only: all folds that are done are pooled, so leave out --fold')
    if args.seed is not None and not 0 <= args.seed < 2**32:
        parser.error('--seed: choose from 0 to 2**32 - 1')
    if args.seed is not None and any(o.startswith('randomness.seed=') for o in args.cfg_options):
        parser.error('--seed: not beside --cfg-options randomness.seed')
    if args.launcher == 'none' and (args.gpus or args.gpus_per_node or args.partition):
        parser.error('--gpus, --gpus-per-node and --partition are for a --launcher')
    if args.launcher != 'none' and (args.gpus or 0) < 1:
        parser.error(f'--launcher {args.launcher}: needs --gpus, at least 1')
    if args.launcher == 'slurm' and not args.partition:
        parser.error('--launcher slurm: needs --partition')


def main() -> None:
    """Run the folds, then pool them."""
    args = parse_args()
    if not args.pool_only:
        raw = read_raw(find_source(args.source))
        wanted = choose_folds(args, raw)
        for count, number in enumerate(wanted, 1):
            name = f'fold {number} ({count} of {len(wanted)})'
            if args.dry_run:
                show(fold_run(args, number), name)
            else:
                carry_out(args, raw, number, name)
    if not (args.dry_run or args.fold):
        pool(args)


def choose_folds(args: argparse.Namespace, raw: RawDataset) -> list[int]:
    """Draw the folds, write them down, and tell which are to be run."""
    splits = folds.make_folds(raw, args.split, args.folds or 5)
    present = folds.present_folds(splits, raw)
    if impossible := sorted(set(args.fold or ()) - set(present)):
        choices = ', '.join(map(str, present))
        msg = f'fold {impossible[0]} has nobody to test in this download; choose from {choices}'
        raise DataError(f'{msg}, or complete the download')
    save = folds.check_folds if args.dry_run else folds.write_folds
    save(splits, raw, args.work_dir / SPLITS)
    if args.fold:
        return sorted(set(args.fold))
    for number in sorted(set(range(len(splits.folds))) - set(present)):
        print(f'fold {number}: skipped, as it has nobody to test in this download')
    return present


def fold_run(args: argparse.Namespace, number: int) -> FoldRun:
    """What is to be run of a fold."""
    return FoldRun(
        args.config,
        args.work_dir / f'fold_{number}',
        tuple(args.cfg_options),
        {'split': args.split, 'fold': number, 'window': args.window},
        Launch(args.launcher, args.gpus or 1, args.gpus_per_node, args.partition),
    )


def show(run: FoldRun, name: str) -> None:
    """Print how far a fold is, and the commands that are left."""
    state = run.state()
    print(f'{name}: {state}')
    if not run.data.exists():
        print(f'  prepare {run.data}')
    for command in run.commands(state):
        print(f'  {shlex.join(command)}')


def carry_out(args: argparse.Namespace, raw: RawDataset, number: int, name: str) -> None:
    """Do what is left of a fold."""
    run = fold_run(args, number)
    with run.held() as lock:
        state = run.state()
        if state == FINISHED:
            check_data(run, args.work_dir)
            print(f'{name}: finished')
            return
        prepare(args, raw, number, run, name)
        if state != TRAINED:
            print(f'{name}: training, from {run.last_checkpoint() or "scratch"}', flush=True)
            run.train(state, [lock])
        print(f'{name}: testing {run.last_checkpoint()}', flush=True)
        run.test([lock])
        print(f'{name}: finished; its results are in {run.results}', flush=True)


def prepare(
    args: argparse.Namespace, raw: RawDataset, number: int, run: FoldRun, name: str
) -> None:
    """Write the tree of a fold, or link it from another fold, also of another seed."""
    options = Options(splits_file=args.work_dir / SPLITS, fold=number, window=args.window)
    others = sorted([*args.work_dir.glob('fold_*/data'), *args.work_dir.parent.glob('fold_*/data')])
    with workers(None, len(raw.slices)), progress_bar(len(raw.slices)) as progress:
        outcomes = folds.prepare_fold(raw, options, run.data, others, progress)
    counts = read_dataset_json(run.data)['splits']
    print(
        f'{name}: {counts["train"]["patients"]} patients to train on, '
        f'{counts["test"]["patients"]} to test; {outcomes["written"]} slices written, '
        f'{outcomes["linked"]} linked',
        flush=True,
    )


def check_data(run: FoldRun, work_dir: Path) -> None:
    """Make sure that a finished fold is of the folds of this cross-validation."""
    if not folds.same_folds(run.data, work_dir / SPLITS):
        msg = f'{run.data}: of other folds than {work_dir / SPLITS}; use another --work-dir'
        raise DataError(msg)


def pool(args: argparse.Namespace) -> None:
    """Pool the folds that are done, write and print the figures."""
    found, missing = {}, {}
    splits = args.work_dir / SPLITS
    everyone = folds.read_folds(splits)
    for fold in everyone:
        run = fold_run(args, fold.number)
        if not fold.present:
            missing[fold.number] = 'no patients in this download'
        elif run.state() == FINISHED:
            check_data(run, args.work_dir)
            found[fold.number] = results.read_results(run.results)
        else:
            missing[fold.number] = 'not finished'
    pooled = pooling.pool(
        found,
        missing,
        args.config.stem + (f', seed {args.seed}' if args.seed else ''),
        {
            'work_dir': str(args.work_dir),
            'splits': provenance.describe_file(splits),
            'training': 'on all patients but those of the fold, to the last checkpoint; '
            'nothing was validated',
        },
        folds.describe_gaps(everyone),
    )
    out = args.work_dir / 'pooled'
    (out / results.SUMMARY).unlink(missing_ok=True)
    results.write_results(pooled, out)
    print(results.format_table(pooled.figures))
    for warning in pooled.warnings:
        print(f'Note: {warning}')
    print(f'{len(found)} folds pooled; all figures are in {out}')


if __name__ == '__main__':
    run_command(main)
