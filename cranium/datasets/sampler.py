"""Which slice is trained on when: draws that are a pure function of a seed and their number."""

import random
from collections.abc import Iterator
from itertools import count

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.dist import get_dist_info, sync_random_seed
from mmseg.registry import DATA_SAMPLERS
from torch.utils.data import Sampler


class Draw(int):
    """The index of a slice that was drawn, which draw it was, and the seed of what happens then.

    It is an ``int``, so that a data loader hands it on to a data set as it does any index.

    Args:
        index (int): Index of the slice.
        seed (int): Not negative, of any size.
        number (int): Of the draw, from 0.

    Attributes:
        seed (int): As given.
        number (int): As given.

    Examples:
        >>> draw = Draw(3, seed=7, number=100)
        >>> 'abcd'[draw], draw.seed, draw.number
        ('d', 7, 100)
    """

    def __new__(cls, index: int, seed: int, number: int) -> 'Draw':
        """Make the integer, and remember the seed."""
        draw = super().__new__(cls, index)
        draw.seed, draw.number = seed, number
        return draw

    def __getnewargs__(self) -> tuple[int, int, int]:
        """What pickle passes to ``__new__`` in the worker process."""
        return int(self), self.seed, self.number

    def seed_transforms(self) -> None:
        """Seed ``random`` and ``np.random``, from which transforms of mmcv and mmseg draw."""
        # Neither takes a pair of integers, nor np.random one of more than 32 bits.
        state = np.random.SeedSequence((self.seed, self.number)).generate_state(4)
        random.seed(state.tobytes())
        np.random.seed(state)


@DATA_SAMPLERS.register_module()
class BalancedSampler(Sampler):
    """Endless random draws with a fixed share of slices with hemorrhage, and patients alike.

    One slice in eight shows hemorrhage, and some patients have three times the slices of others.
    Each draw first decides whether to show hemorrhage, then takes a patient, then a slice, each
    time with equal chances. Draws are independent of each other, and draw number n is a pure
    function of (``seed``, n). So

    - any number of processes sees the same draws in the same order (process r of W takes the draws
      r, r + W, ...): two processes of batch size 4 together train on what one of 8 does;
    - a training can go on at any draw without loading what came before (``start``);
    - each draw carries its own seed, so that augmentation depends neither on the number of workers
      nor on when a training was stopped (``CraniumDataset.prepare_data`` uses it).

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
        start (int): How many draws of all processes together to leave out. Defaults to 0. To be set
            before the sampler is iterated.

    Raises:
        TypeError: If the data set can not tell which slices show hemorrhage.
        ValueError: If the share is not in 0 to 1, or there is no slice of a kind that it wants.
    """

    def __init__(
        self,
        dataset: BaseDataset,
        hemorrhage_share: float | None = 0.5,
        by_patient: bool = True,
        seed: int | None = None,
    ) -> None:
        self.rank, self.world_size = get_dist_info()
        self.seed = sync_random_seed() if seed is None else seed
        self.start = 0
        self.size = len(dataset)
        self.hemorrhage_share = hemorrhage_share
        self._epoch: tuple | None = None
        if hemorrhage_share is not None:
            if not 0 <= hemorrhage_share <= 1:
                msg = (
                    f'hemorrhage_share is {hemorrhage_share}; expected 0 to 1, or None to shuffle.'
                )
                raise ValueError(msg)
            self._kinds = [_by_patient(dataset, kind, by_patient) for kind in (False, True)]
            self._check_kinds(dataset)

    def draw(self, number: int) -> Draw:
        """Make one draw.

        Args:
            number (int): Which one, from 0.

        Returns:
            Draw: The index of a slice.
        """
        if self.hemorrhage_share is None:
            index = self._shuffled(number)
        else:
            rng = np.random.default_rng((self.seed, number))
            patients = self._kinds[rng.random() < self.hemorrhage_share]
            index = rng.choice(patients[rng.integers(len(patients))])
        return Draw(index, self.seed, number)

    def __iter__(self) -> Iterator[Draw]:
        """The draws of this process, from ``start`` on and without end."""
        return map(self.draw, count(self.start + self.rank, self.world_size))

    def __len__(self) -> int:
        """Number of slices in the data set; mmengine's logs take it for the length of an epoch."""
        return self.size

    def _shuffled(self, number: int) -> int:
        epoch, position = divmod(number, self.size)
        if self._epoch is None or self._epoch[0] != (self.seed, epoch):
            order = np.random.default_rng((self.seed, epoch)).permutation(self.size)
            self._epoch = (self.seed, epoch), order
        return self._epoch[1][position]

    def _check_kinds(self, dataset: BaseDataset) -> None:
        wanted = (self.hemorrhage_share < 1, self.hemorrhage_share > 0)
        for verb, is_wanted, slices in zip(('all show', 'none shows'), wanted, self._kinds):
            if is_wanted and not slices:
                msg = (
                    f'Of the {self.size} masks in {dataset.data_prefix["seg_map_path"]} {verb} '
                    f'hemorrhage, so hemorrhage_share={self.hemorrhage_share} can not be had; '
                    'expected None, which shuffles, or other data.'
                )
                raise ValueError(msg)


def _by_patient(dataset: BaseDataset, kind: bool, by_patient: bool) -> list[np.ndarray]:
    """Indices of the slices with or without hemorrhage, an array for each patient or one for all.

    A patient without such slices has none.
    """
    if not hasattr(dataset, 'has_hemorrhage'):
        msg = (
            f'{type(dataset).__name__} has no has_hemorrhage(); expected CraniumDataset, or '
            'hemorrhage_share=None.'
        )
        raise TypeError(msg)
    indices = np.flatnonzero(dataset.has_hemorrhage() == kind)
    if not by_patient:
        return [indices] if indices.size else []
    patients = np.array([dataset.get_data_info(int(index))['patient'] for index in indices])
    return [indices[patients == patient] for patient in np.unique(patients)]
