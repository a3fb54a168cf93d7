"""Which slice is trained on when: draws that are a pure function of a seed and their number."""

import random
from collections.abc import Iterator
from itertools import count

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.dist import get_dist_info, sync_random_seed
from mmseg.registry import DATA_SAMPLERS
from numpy.typing import NDArray
from torch.utils.data import Sampler

from cranium.errors import CraniumError


class Draw(int):
    """The index of a slice that was drawn, and what its augmentation depends on.

    It is an ``int``, so that a data loader hands it on to a data set as it does any index.

    Args:
        index (int): Index of the slice.
        seed (int): Not negative, of any size.
        number (int): Of the draw, from 0.
        progress (float): Share of the training that is over at this draw's iteration. Defaults to
            1, as after the training.

    Examples:
        >>> draw = Draw(3, seed=7, number=100)
        >>> 'abcd'[draw], draw.seed, draw.number, draw.progress
        ('d', 7, 100, 1.0)
    """

    seed: int
    number: int
    progress: float

    def __new__(cls, index: int, seed: int, number: int, progress: float = 1.0) -> 'Draw':
        """Make the integer, and remember the rest."""
        draw = super().__new__(cls, index)
        draw.seed, draw.number, draw.progress = seed, number, progress
        return draw

    def __getnewargs__(self) -> tuple[int, int, int, float]:  # type: ignore[override]
        """What pickle passes to ``__new__`` in the worker process."""
        return int(self), self.seed, self.number, self.progress

    def seed_transforms(self) -> None:
        """Seed ``random`` and ``np.random``, from which transforms of mmcv and mmseg draw."""
        # Neither takes a pair of integers, nor np.random one of more than 32 bits.
        state = np.random.SeedSequence((self.seed, self.number)).generate_state(4)
        random.seed(state.tobytes())
        np.random.seed(state)


@DATA_SAMPLERS.register_module()
class BalancedSampler(Sampler[int]):
    """Endless random draws with a fixed share of slices with hemorrhage, balanced over patients.

    One slice in eight shows hemorrhage, and some patients have three times the slices of others.
    Each draw first decides whether to show hemorrhage, then takes a patient, then a slice, each
    time with equal chances. Draw number n is a pure function of (``seed``, n). So any number of
    processes sees the same draws (process r of W takes r, r + W, ...), a training can resume at any
    draw without loading what came before, and augmentation, which is seeded by the draw, depends
    neither on the number of workers nor on when a training was stopped.

    Args:
        dataset (CraniumDataset): What to draw from.
        hemorrhage_share (float, optional): The share of draws that show hemorrhage, 0 to 1. None
            shuffles: every slice once, then every slice again in another order. Defaults to 0.5.
        by_patient (bool): Whether the patient is drawn before the slice, from those who have
            slices of the wanted kind. Otherwise all slices of the kind have equal chances. Without
            effect where ``hemorrhage_share`` is None. Defaults to True.
        seed (int, optional): Not negative and the same in every process. Defaults to None: a random
            one that the processes agree on.

    Attributes:
        start (int): How many draws of all processes together to leave out. Defaults to 0. As those
            below, ``ResumableTrainLoop`` sets it before the sampler is iterated.
        max_iters (int, optional): Iterations of the training. Defaults to None, not known.
        draws_per_iter (int): Batch size times number of processes.

    Raises:
        TypeError: The data set cannot tell which slices show hemorrhage.
        CraniumError: The share is not in 0 to 1, or there is no slice of a kind that it wants.
    """

    def __init__(
        self,
        dataset: BaseDataset,
        hemorrhage_share: float | None = 0.5,
        by_patient: bool = True,
        seed: int | None = None,
    ) -> None:
        self.rank, self.world_size = get_dist_info()
        self.seed: int = sync_random_seed() if seed is None else seed
        self.start = 0
        self.max_iters: int | None = None
        self.draws_per_iter = 1
        self.size = len(dataset)
        self.hemorrhage_share = hemorrhage_share
        self._order: tuple[tuple[int, int], NDArray[np.int64]] | None = None
        if hemorrhage_share is not None:
            if not 0 <= hemorrhage_share <= 1:
                msg = f'hemorrhage_share is {hemorrhage_share}; expected 0 to 1, or None to shuffle'
                raise CraniumError(msg)
            self._kinds = [_of_kind(dataset, kind, by_patient) for kind in (False, True)]
            self._check_kinds(dataset)

    def draw(self, number: int) -> Draw:
        """Make one draw, by its number from 0."""
        if self.hemorrhage_share is None:
            index = self._shuffled(number)
        else:
            rng = np.random.default_rng((self.seed, number))
            patients = self._kinds[rng.random() < self.hemorrhage_share]
            index = rng.choice(patients[rng.integers(len(patients))])
        iteration = number // self.draws_per_iter
        progress = 1.0 if self.max_iters is None else iteration / self.max_iters
        return Draw(index, self.seed, number, progress)

    def __iter__(self) -> Iterator[Draw]:
        """The draws of this process, from ``start`` on and without end."""
        return map(self.draw, count(self.start + self.rank, self.world_size))

    def __len__(self) -> int:
        """Number of slices in the data set; mmengine's logs take it for the length of an epoch."""
        return self.size

    def _shuffled(self, number: int) -> int:
        epoch, position = divmod(number, self.size)
        if self._order is None or self._order[0] != (self.seed, epoch):
            order = np.random.default_rng((self.seed, epoch)).permutation(self.size)
            self._order = (self.seed, epoch), order
        return int(self._order[1][position])

    def _check_kinds(self, dataset: BaseDataset) -> None:
        share = self.hemorrhage_share or 0.0
        wanted = (share < 1, share > 0)
        for verb, is_wanted, slices in zip(('all show', 'none shows'), wanted, self._kinds):
            if is_wanted and not slices:
                msg = (
                    f'Of the {self.size} masks in {dataset.data_prefix["seg_map_path"]} {verb} '
                    f'hemorrhage, which hemorrhage_share={share} cannot be drawn from; set it to '
                    'None to shuffle, or use other data'
                )
                raise CraniumError(msg)


def _of_kind(dataset: BaseDataset, kind: bool, of_patients: bool) -> list[NDArray[np.int64]]:
    """Indices of the slices with or without hemorrhage, an array for each patient or one for all.

    Patients without such slices have no array.
    """
    if not hasattr(dataset, 'has_hemorrhage'):
        msg = (
            f'{type(dataset).__name__} has no has_hemorrhage(); expected CraniumDataset, or '
            'hemorrhage_share=None'
        )
        raise TypeError(msg)
    wanted = dataset.has_hemorrhage() == kind
    if of_patients:
        return slices_of_patients(dataset, wanted)
    return [np.flatnonzero(wanted)] if wanted.any() else []


def slices_of_patients(dataset: BaseDataset, wanted: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Indices of the wanted slices, an array for each patient who has some.

    Args:
        dataset (BaseDataset): Its records tell the ``patient``.
        wanted (ndarray): (slices,) bool.

    Returns:
        list[ndarray]: In the order of the patients' names.
    """
    indices = np.flatnonzero(wanted)
    patients = np.array([dataset.get_data_info(int(index))['patient'] for index in indices])
    return [indices[patients == patient] for patient in np.unique(patients)]
