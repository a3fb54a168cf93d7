import numpy as np
import pytest

from cranium.datasets import (
    AlignHead,
    BalancedSampler,
    CoarseFirst,
    CraniumDataset,
    LoadMask,
    LoadScan,
    PasteHemorrhage,
)
from tests.conftest import write_both_windows


@pytest.mark.parametrize('record, coarse', [(dict(draw=9), 3), (dict(draw=10), 1), ({}, 1)])
def test_the_first_draws_are_coarse(record, coarse):
    assert CoarseFirst(draws=10, factor=3)(record)['coarse'] == coarse


def test_in_a_pipeline_batches_change_their_size_and_donors_theirs(tree):
    """With a bleed pasted on every slice, at both resolutions."""
    write_both_windows(tree)
    dataset = CraniumDataset(
        data_root=str(tree),
        data_prefix=dict(img_path='images/train', seg_map_path='masks/train'),
        pipeline=[
            CoarseFirst(draws=4),
            LoadScan(shrink=1, cache_slices=100),
            LoadMask(cache=True),
            PasteHemorrhage(),
            AlignHead(size=(64, 48), spacing=1.0),
        ],
    )
    draws = list(map(BalancedSampler(dataset, seed=0).draw, range(8)))
    samples = [dataset[draw] for draw in draws]
    assert [s['img'].shape for s in samples] == [(32, 24, 4)] * 4 + [(64, 48, 4)] * 4
    assert [s['gt_seg_map'].shape for s in samples] == [(32, 24)] * 4 + [(64, 48)] * 4
    # Resumed in the middle of the coarse ones.
    for draw, sample in zip(draws[2:], samples[2:]):
        assert np.array_equal(dataset[draw]['img'], sample['img'])
