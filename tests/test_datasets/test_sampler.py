import itertools
import pickle
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.registry import init_default_scope
from mmseg.registry import DATA_SAMPLERS
from torch.utils.data import DataLoader

import cranium.datasets  # noqa: F401  (registers the sampler, as in a config)
from cranium.datasets import sampler as module
from cranium.datasets.sampler import BalancedSampler, Draw
from cranium.errors import CraniumError

SEEDS = st.integers(0, 2**32 - 1)
SHARES = st.sampled_from([0.0, 0.3, 0.5, 1.0, None])


class Slices:
    """A data set of slices given as (patient, hemorrhage)."""

    def __init__(self, *slices):
        self.slices = slices
        self.data_prefix = dict(seg_map_path='masks')

    def __len__(self):
        return len(self.slices)

    def __getitem__(self, index):
        return int(index), index.seed

    def get_data_info(self, index):
        return dict(patient=self.slices[index][0])

    def has_hemorrhage(self):
        return np.array([hemorrhage for _, hemorrhage in self.slices], bool)


# Patient a has no hemorrhage, b has one slice with it of three, c four of five.
PATIENTS = [
    ('a', 0),
    ('b', 0),
    ('b', 0),
    ('b', 1),
    ('c', 1),
    ('c', 1),
    ('c', 1),
    ('c', 1),
    ('c', 0),
]
DATA = Slices(*PATIENTS)


def first(sampler, number):
    return list(itertools.islice(sampler, number))


def frequencies(draws):
    return np.bincount(draws, minlength=len(PATIENTS)) / len(draws)


def process(monkeypatch, rank, world_size, *args, **kwargs):
    monkeypatch.setattr(module, 'get_dist_info', lambda: (rank, world_size))
    return BalancedSampler(DATA, *args, **kwargs)


def test_chances_of_each_slice_by_patient():
    """Half the draws show hemorrhage; of these half are of b, in a single slice."""
    # Slices: a0; b1 b2 b3(h); c4 to c7 (h), c8. Without hemorrhage: a, b and c a third each.
    chances = [1 / 6, 1 / 12, 1 / 12, 1 / 4, 1 / 16, 1 / 16, 1 / 16, 1 / 16, 1 / 6]
    draws = first(BalancedSampler(DATA, seed=3), 20000)
    np.testing.assert_allclose(frequencies(draws), chances, atol=0.01)


def test_chances_of_each_slice_without_patients():
    chances = [0.2 / 4, 0.2 / 4, 0.2 / 4, 0.8 / 5, 0.8 / 5, 0.8 / 5, 0.8 / 5, 0.8 / 5, 0.2 / 4]
    draws = first(BalancedSampler(DATA, 0.8, by_patient=False, seed=3), 20000)
    np.testing.assert_allclose(frequencies(draws), chances, atol=0.01)


@pytest.mark.parametrize('share, indices', [(0, {0, 1, 2, 8}), (1, {3, 4, 5, 6, 7})])
def test_shares_of_none_and_all(share, indices):
    assert set(first(BalancedSampler(DATA, share, seed=0), 200)) == indices


def test_draws_are_independent():
    """Whether a draw shows hemorrhage says nothing of the next one."""
    shows = DATA.has_hemorrhage()[first(BalancedSampler(DATA, seed=1), 20000)]
    assert abs(np.corrcoef(shows[1:], shows[:-1])[0, 1]) < 0.03


@given(SEEDS)
def test_no_share_shuffles_every_slice_once_an_epoch(seed):
    draws = first(BalancedSampler(DATA, None, seed=seed), 27)
    for epoch in range(3):
        assert sorted(draws[epoch * 9 : epoch * 9 + 9]) == list(range(9))


def test_epochs_and_seeds_are_shuffled_differently():
    epochs = np.reshape(first(BalancedSampler(DATA, None, seed=0), 90), (10, 9))
    other = np.reshape(first(BalancedSampler(DATA, None, seed=1), 90), (10, 9))
    assert len({tuple(epoch) for epoch in [*epochs, *other]}) == 20


@given(SEEDS, SHARES, st.integers(0, 40))
def test_start_leaves_out_the_first_draws(seed, share, start):
    sampler = BalancedSampler(DATA, share, seed=seed)
    draws = first(sampler, 60)
    sampler.start = start
    rest = first(sampler, 60 - start)
    assert rest == draws[start:]
    assert [draw.seed for draw in rest] == [draw.seed for draw in draws[start:]]


@pytest.mark.parametrize('share', [0.3, None])
@pytest.mark.parametrize('start', [0, 24])
def test_processes_together_draw_what_one_does(monkeypatch, share, start):
    """Two of batch size 4 make the batches of one of 8."""
    samplers = [process(monkeypatch, rank, 2, share, seed=5) for rank in (0, 1)]
    one = process(monkeypatch, 0, 1, share, seed=5)
    for sampler in (*samplers, one):
        sampler.start = start
    draws = [first(sampler, 20) for sampler in samplers]
    together = [first(one, 40)[batch * 8 : batch * 8 + 8] for batch in range(5)]
    for batch, expected in enumerate(together):
        halves = [part[batch * 4 : batch * 4 + 4] for part in draws]
        assert sorted((d, d.seed) for half in halves for d in half) == sorted(
            (d, d.seed) for d in expected
        )


@given(SEEDS, SEEDS, SHARES)
def test_every_draw_of_every_seed_has_its_own_seed(seed, other, share):
    draws = first(BalancedSampler(DATA, share, seed=seed), 50)
    assert [(draw.seed, draw.number) for draw in draws] == [(seed, n) for n in range(50)]
    if other != seed:
        assert first(BalancedSampler(DATA, share, seed=other), 1)[0].seed == other


def test_a_draw_is_an_index_and_pickles():
    draw = pickle.loads(pickle.dumps(Draw(4, seed=2**90 + 1, number=9, progress=0.25)))
    assert (draw, draw.seed, draw.number, 'abcde'[draw]) == (4, 2**90 + 1, 9, 'e')
    assert draw.progress == 0.25
    assert type(draw) is Draw


def test_a_draw_seeds_both_generators_with_all_of_its_seed():
    def numbers(seed, number=3):
        Draw(0, seed, number).seed_transforms()
        return random.random(), np.random.rand()

    once = numbers(7)
    assert numbers(7) == once
    for seed in (8, 7 + 2**32, 7 + 2**64):
        assert all(a != b for a, b in zip(numbers(seed), once))
    assert all(a != b for a, b in zip(numbers(7, number=4), once))


@pytest.mark.parametrize('workers', [0, 2])
def test_draws_reach_the_data_set_in_workers(workers):
    sampler = BalancedSampler(DATA, seed=2)
    loader = DataLoader(
        DATA, batch_size=3, sampler=sampler, num_workers=workers, collate_fn=lambda batch: batch
    )
    batches = list(itertools.islice(loader, 4))
    expected = [(int(draw), draw.seed) for draw in first(sampler, 12)]
    assert [pair for batch in batches for pair in batch] == expected


def test_it_is_built_from_a_config():
    init_default_scope('mmseg')
    config = dict(type='BalancedSampler', hemorrhage_share=0.25)
    built = DATA_SAMPLERS.build(config, default_args=dict(dataset=DATA, seed=4))
    assert (built.hemorrhage_share, built.seed, len(built)) == (0.25, 4, 9)


def test_a_missing_seed_is_agreed_on(monkeypatch):
    monkeypatch.setattr(module, 'sync_random_seed', lambda: 11)
    assert BalancedSampler(DATA).seed == 11


@pytest.mark.parametrize('share', [-0.1, 1.1, float('nan')])
def test_share_outside_0_to_1(share):
    with pytest.raises(CraniumError, match=f'hemorrhage_share is {share}; expected 0 to 1'):
        BalancedSampler(DATA, share)


def test_data_without_a_wanted_kind():
    without, only = Slices(('a', 0), ('b', 0)), Slices(('a', 1))
    with pytest.raises(
        CraniumError, match=r'Of the 2 masks in masks none shows hemorrhage, .*=0.5'
    ):
        BalancedSampler(without, seed=0)
    with pytest.raises(CraniumError, match=r'Of the 1 masks in masks all show hemorrhage'):
        BalancedSampler(only, seed=0)
    assert first(BalancedSampler(only, 1, seed=0), 2) == [0, 0]
    assert set(first(BalancedSampler(without, 0, seed=0), 20)) == {0, 1}
    assert set(first(BalancedSampler(without, None, seed=0), 2)) == {0, 1}


def test_a_data_set_that_can_not_tell():
    with pytest.raises(TypeError, match=r'list has no has_hemorrhage\(\); expected CraniumDataset'):
        BalancedSampler([1, 2])
    assert sorted(first(BalancedSampler([1, 2], None, seed=0), 2)) == [0, 1]
