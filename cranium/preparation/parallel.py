"""Working on scans in parallel, wherever joblib is told to."""

import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from itertools import groupby
from typing import TypeVar

from cranium.errors import CraniumError
from cranium.preparation.raw import RawSlice
from cranium.preparation.tree import signals_handled

Item = TypeVar('Item')
Result = TypeVar('Result')


def each_scan(
    work: Callable[[list[RawSlice]], Result], slices: Sequence[RawSlice]
) -> Iterator[Result]:
    """Yield what ``work`` returns for the slices of each patient; see :func:`in_parallel`."""
    scans = [list(scan) for _, scan in groupby(slices, key=lambda item: item.patient)]
    return in_parallel(work, scans)


def in_parallel(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield what ``work`` returns for each item, in order.

    Raises:
        CraniumError: A process died.
    """
    from joblib import Parallel, delayed  # slow to import

    # Processes that start now ignore Ctrl-C: it is for this one, which then ends them.
    with signals_handled(signal.SIG_IGN, signal.SIGINT):
        results = Parallel(batch_size=1, return_as='generator')(map(delayed(work), items))
    try:
        yield from results
    except BrokenExecutor as error:
        msg = 'a worker process died, perhaps for lack of memory; run again with fewer --jobs'
        raise CraniumError(msg) from error
