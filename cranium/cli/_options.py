"""What several commands share: options with several values, workers, progress."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import click

data_set = click.option(
    '--source',
    type=click.Path(path_type=Path),
    default='data',
    show_default=True,
    help='Prepared tree or download.',
)


class ManyValues(click.Command):
    """A command whose options with ``multiple=True`` also take several values at once.

    ``--fold 1 2`` is read as ``--fold 1 --fold 2``, as OpenMMLab's users type it.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the option before each further value, then parse."""
        several = {
            name
            for option in self.params
            if isinstance(option, click.Option) and option.multiple
            for name in option.opts
        }
        spread: list[str] = []
        current = None
        for index, arg in enumerate(args):
            if arg.startswith('-'):
                current = arg if arg in several else None
            elif current and args[index - 1] != current:
                spread.append(current)
            spread.append(arg)
        return super().parse_args(ctx, spread)


def workers(jobs: int | None, slices: int) -> AbstractContextManager[Any]:
    """Configure joblib: processes on this machine, or none where starting them takes longer.

    Args:
        jobs (int, optional): Processes; None means one per core.
        slices (int): How many slices there are to work on.
    """
    from joblib import parallel_config

    options: dict[str, Any] = {'n_jobs': 1}
    if jobs != 1 and slices >= 200:
        # Workers of a killed run end after ten idle seconds.
        options = {'backend': 'loky', 'n_jobs': jobs or -1, 'idle_worker_timeout': 10}
    configuration: AbstractContextManager[Any] = parallel_config(**options)
    return configuration


@contextmanager
def progress_bar(total: int, what: str = 'slices') -> Iterator[Callable[[int], None]]:
    """Show progress on stderr where that is a terminal; give the function that moves it forward."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.advance(task, done)
