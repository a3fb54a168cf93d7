"""Measure how fast Cranium is, on this machine, and how robust, on real slices."""

import argparse
import os
import sys
from pathlib import Path

CONFIGS = Path(__file__).parents[1] / 'configs'
CONFIG = CONFIGS / 'unet-cranium_small_1xb8-8k_cranium-aligned-192x160.py'
PREDECESSOR = CONFIGS / '_base_/datasets/cranium_512x512.py'


def main() -> None:
    """Run the benchmark that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True, metavar='BENCHMARK')
    for add_command in (
        add_preparation,
        add_scaling,
        add_loader,
        add_train,
        add_pieces,
        add_evaluation,
        add_robustness,
        add_inference,
    ):
        add_command(commands)
    args = parser.parse_args()
    args.run(args)


def add_preparation(commands: argparse._SubParsersAction) -> None:
    """Add ``preparation``: against the predecessor's way, in the same process."""
    command = commands.add_parser('preparation', help='preparing a slice, against the predecessor')
    command.add_argument('--source', type=Path, default='data/sample', help='unpacked download')
    command.add_argument('--slices', type=int, default=128, help='slices a round (default: 128)')
    command.add_argument('--rounds', type=int, default=5, help='the median counts (default: 5)')
    command.set_defaults(run=run_preparation)


def run_preparation(args: argparse.Namespace) -> None:
    """Print the figures."""
    from benchmarks.preparation import compare_with_predecessor

    for name, value in compare_with_predecessor(args.source, args.slices, args.rounds).items():
        print(f'{name}: {value:.4g}')


def add_scaling(commands: argparse._SubParsersAction) -> None:
    """Add ``preparation-scaling``: time and memory against the number of slices."""
    command = commands.add_parser('preparation-scaling', help='time and memory by number of slices')
    command.add_argument('--source', type=Path, default='data/sample', help='unpacked download')
    command.add_argument('--slices', type=int, nargs='+', default=[2000, 10000], metavar='N')
    command.add_argument('--jobs', type=int, default=2, help='processes (default: 2)')
    command.set_defaults(run=run_scaling)


def run_scaling(args: argparse.Namespace) -> None:
    """Print a table."""
    from benchmarks.preparation import scale
    from cranium.tables import markdown_table

    command = [sys.executable, '-m', 'cranium.cli', 'prepare', '--jobs', str(args.jobs)]
    measured = scale(args.source, args.slices, command)
    rows = [[f'{value:.4g}' for value in row.values()] for row in measured]
    print(markdown_table(list(measured[0]), rows))


def add_loader(commands: argparse._SubParsersAction) -> None:
    """Add ``loader``: a config's training pipeline against the predecessor's."""
    command = commands.add_parser('loader', help='loading a slice, against the predecessor')
    add_config(command)
    command.add_argument('--slices', type=int, default=64, help='slices a round (default: 64)')
    command.add_argument('--rounds', type=int, default=5, help='the median counts (default: 5)')
    command.set_defaults(run=run_loader)


def add_config(command: argparse.ArgumentParser) -> None:
    """Add the arguments that say what is measured."""
    command.add_argument(
        '--config', type=Path, default=CONFIG, help=f'config file (default: {CONFIG.name})'
    )
    command.add_argument('--source', type=Path, help="prepared tree (default: the config's)")


def run_loader(args: argparse.Namespace) -> None:
    """Print a table."""
    from benchmarks.datasets import compare_loaders

    print_table(compare_loaders(args.config, PREDECESSOR, args.source, args.slices, args.rounds))


def print_table(rows: list[dict[str, str]]) -> None:
    """Print rows of the same columns."""
    from cranium.tables import markdown_table

    print(markdown_table(list(rows[0]), [list(row.values()) for row in rows]))


def add_train(commands: argparse._SubParsersAction) -> None:
    """Add ``train``: a step of training in variants, or how much of it is waiting for data."""
    command = commands.add_parser('train', help='a step of training, by variants')
    add_config(command)
    command.add_argument(
        '--size',
        type=int,
        nargs=2,
        metavar=('H', 'W'),
        help="noise of this size (default: slices through the config's training pipeline)",
    )
    command.add_argument('--steps', type=int, default=10, help='of each variant (default: 10)')
    command.add_argument(
        '--variants',
        nargs='+',
        metavar='NAME',
        help='out of channels_last, bf16, fp16, compile, and with + several of them (default: all)',
    )
    command.add_argument(
        '--waiting',
        action='store_true',
        help='train as the config says, and tell the share of the time that waits for data',
    )
    command.set_defaults(run=run_train)


def run_train(args: argparse.Namespace) -> None:
    """Print a table."""
    from benchmarks.engine import VARIANTS, compare_steps, waiting

    if args.waiting:
        row = waiting(args.config, args.steps, args.source)
        if os.environ.get('RANK', '0') == '0':  # of several processes
            print_table([row])
    else:
        variants = args.variants or list(VARIANTS)
        print_table(compare_steps(args.config, args.steps, args.source, args.size, variants))


def add_pieces(commands: argparse._SubParsersAction) -> None:
    """Add ``pieces``: trainings in short jobs."""
    command = commands.add_parser('pieces', help='train and test configs; again: go on')
    command.add_argument('configs', type=Path, nargs='+', metavar='CONFIG')
    command.add_argument('--source', type=Path, required=True, help='prepared tree')
    command.add_argument('--runs', type=Path, required=True, help='folder of the work directories')
    command.add_argument('--cfg-options', nargs='+', default=[], metavar='K=V')
    command.set_defaults(run=run_pieces)


def run_pieces(args: argparse.Namespace) -> None:
    """Train and test what is not finished."""
    from benchmarks.pieces import experiment, train_in_pieces
    from cranium.errors import CraniumError

    try:
        train_in_pieces(
            [
                experiment(path, args.source, args.runs / path.stem, args.cfg_options)
                for path in args.configs
            ]
        )
    except CraniumError as error:
        sys.exit(f'Error: {error}')


def add_evaluation(commands: argparse._SubParsersAction) -> None:
    """Add ``evaluation``: the figures of a slice, beside mmseg's IoUMetric in the same process."""
    command = commands.add_parser('evaluation', help='measuring a slice, against IoUMetric')
    command.add_argument('--source', type=Path, default='data', help='prepared tree')
    command.add_argument('--slices', type=int, default=24, help='of each kind (default: 24)')
    command.set_defaults(run=run_evaluation)


def run_evaluation(args: argparse.Namespace) -> None:
    """Print a table."""
    from benchmarks.evaluation import run as run_benchmark

    print(run_benchmark(args.source, args.slices))


def add_robustness(commands: argparse._SubParsersAction) -> None:
    """Add ``robustness``: a network on slices that were degraded."""
    command = commands.add_parser(
        'robustness', help='a network on pictures that are not like those it was trained on'
    )
    command.add_argument('--data', type=Path, default='data', help='prepared tree in HU')
    command.add_argument(
        '--checkpoint', type=Path, required=True, help='that has not seen the tested patients'
    )
    command.add_argument('--fold', type=int, help="of splits.json (default: the tree's test)")
    command.add_argument(
        '--slices', type=int, help='healthy slices that count of a patient (default: all)'
    )
    command.add_argument(
        '--thresholds',
        type=float,
        nargs=2,
        metavar=('IN_SCANS', 'ALONE'),
        help="of slices, log-odds (default: the checkpoint's)",
    )
    command.add_argument(
        '--degradations',
        nargs='+',
        default=(),
        metavar='NAME',
        help='by their begin (default: all)',
    )
    command.set_defaults(run=run_robustness)


def run_robustness(args: argparse.Namespace) -> None:
    """Print a table."""
    from benchmarks.robustness import measure

    settings = (args.fold, args.slices, args.thresholds, args.degradations)
    print_table(measure(args.data, args.checkpoint, *settings))


def add_inference(commands: argparse._SubParsersAction) -> None:
    """Add ``inference``: from a scan to its masks, against mmseg's own inferencer."""
    command = commands.add_parser('inference', help='a scan to its masks, against MMSegInferencer')
    command.add_argument('--source', type=Path, default='data', help='prepared tree, in HU')
    command.add_argument('--slices', type=int, default=30, help='of the scan (default: 30)')
    command.add_argument('--rounds', type=int, default=5, help='the median counts (default: 5)')
    command.add_argument('--onnx', type=Path, help='the same weights by cranium export')
    command.add_argument('--scan', type=Path, help='of the command (default: those slices)')
    command.set_defaults(run=run_inference)


def run_inference(args: argparse.Namespace) -> None:
    """Print tables."""
    from benchmarks.inference import commands, compare, scan_of, shares

    networks = [None] if args.onnx is None else [None, args.onnx]
    with scan_of(args.source, args.slices) as scan:
        print_table(compare(scan, args.rounds, args.onnx))
        print_table(shares(args.scan or scan))
        print_table([row for each in networks for row in commands(args.scan or scan, each)])


if __name__ == '__main__':
    main()
