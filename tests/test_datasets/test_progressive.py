import itertools

import numpy as np
import pytest

from cranium.datasets import (
    AlignHead,
    BalancedSampler,
    CraniumDataset,
    LoadMask,
    LoadScan,
    PasteHemorrhage,
    ProgressiveResizing,
)
from cranium.datasets import sampler as module
from tests.conftest import write_hu


@pytest.mark.parametrize(
    'record, coarsening',
    [(dict(progress=0.59), 3), (dict(progress=0.6), 1), (dict(progress=1.0), 1), ({}, 1)],
)
def test_the_first_part_is_coarse(record, coarsening):
    assert ProgressiveResizing(share=0.6, factor=3)(record)['coarsening'] == coarsening


@pytest.mark.parametrize(
    'max_iters, batch_size, processes', [(4000, 8, 1), (600, 3, 2), (10, 4, 3)]
)
def test_the_share_is_that_of_any_training_and_no_batch_is_mixed(
    monkeypatch, max_iters, batch_size, processes
):
    transform = ProgressiveResizing(share=0.75)
    coarse = np.zeros((max_iters, processes, batch_size), bool)
    for rank in range(processes):
        monkeypatch.setattr(module, 'get_dist_info', lambda rank=rank: (rank, processes))
        sampler = BalancedSampler(range(5), hemorrhage_share=None, seed=0)
        sampler.max_iters, sampler.draws_per_iter = max_iters, batch_size * processes
        draws = itertools.islice(sampler, max_iters * batch_size)
        flags = [transform(dict(progress=draw.progress))['coarsening'] == 2 for draw in draws]
        coarse[:, rank] = np.reshape(flags, (max_iters, batch_size))
    iterations = coarse.reshape(max_iters, -1)
    assert (iterations == iterations[:, :1]).all()
    assert iterations[:, 0].sum() == np.ceil(0.75 * max_iters)
    assert iterations[0, 0] and not iterations[-1, 0]


def test_in_a_pipeline_batches_change_their_size_and_donors_theirs(tree):
    """With a bleed pasted on every slice, at both resolutions."""
    write_hu(tree)
    dataset = CraniumDataset(
        data_root=str(tree),
        data_prefix=dict(img_path='images/train', seg_map_path='masks/train'),
        load=[ProgressiveResizing(0.5), LoadScan(shrink=1), LoadMask(cache=True)],
        pipeline=[PasteHemorrhage(), AlignHead(size=(64, 48), pixel_mm=0.36)],
    )
    sampler = BalancedSampler(dataset, seed=0)
    sampler.max_iters, sampler.draws_per_iter = 4, 2
    draws = list(map(sampler.draw, range(8)))
    samples = [dataset[draw] for draw in draws]
    assert [s['img'].shape for s in samples] == [(32, 24, 4)] * 4 + [(64, 48, 4)] * 4
    assert [s['gt_seg_map'].shape for s in samples] == [(32, 24)] * 4 + [(64, 48)] * 4
    # Resumed in the middle of the coarse ones.
    for draw, sample in zip(draws[2:], samples[2:]):
        assert np.array_equal(dataset[draw]['img'], sample['img'])
