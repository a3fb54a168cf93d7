"""What several commands share: options with several values, workers, progress."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import click

PATH = click.Path(path_type=Path)


class Picture(click.Path):
    """A file to write, whose suffix says the format."""

    def __init__(self, *suffixes: str) -> None:
        super().__init__(path_type=Path)
        self.suffixes = suffixes

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Refuse a suffix of which no format is known, before anything is done."""
        path = Path(value)
        if path.suffix.lower() not in self.suffixes:
            self.fail(f'{path}: name a {" or ".join(self.suffixes)} file', param, ctx)
        return path


PLOT = Picture('.png', '.svg', '.pdf', '.jpg')

data_set = click.option(
    '--source', type=PATH, default='data', show_default=True, help='Prepared tree or download.'
)
picture = click.option(
    '--out', type=Picture('.png', '.jpg', '.pdf', '.webp'), required=True, help='Picture to write.'
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
    """Configure joblib: ``jobs`` processes (None: one per core), or one where slices are few."""
    from joblib import parallel_config

    options: dict[str, Any] = {'n_jobs': 1}
    if jobs != 1 and slices >= 200:
        # Workers of a killed run end after ten idle seconds.
        options = {'backend': 'loky', 'n_jobs': jobs or -1, 'idle_worker_timeout': 10}
    configuration: AbstractContextManager[Any] = parallel_config(**options)
    return configuration


@contextmanager
def progress_bar(total: int) -> Iterator[Callable[[int], None]]:
    """Show progress on stderr where that is a terminal; give the function that moves it forward."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    with click.progressbar(length=total, label='slices', file=sys.stderr) as bar:
        yield bar.update
