"""What the long commands of this folder share: workers, and progress on a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager


def workers(jobs: int | None, slices: int) -> AbstractContextManager:
    """Configure joblib: processes on this machine, or none where starting them takes longer.

    Args:
        jobs (int, optional): Processes; None means one per core.
        slices (int): How many slices there are to work on.
    """
    from joblib import parallel_config

    if jobs == 1 or slices < 200:
        return parallel_config(n_jobs=1)
    # Workers of a killed run end after ten idle seconds.
    return parallel_config(backend='loky', n_jobs=jobs or -1, idle_worker_timeout=10)


@contextmanager
def progress_bar(total: int) -> Iterator[Callable[[int], None]]:
    """Show progress on stderr where that is a terminal; give the function that moves it forward."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task('slices', total=total)
        yield lambda done: progress.advance(task, done)
