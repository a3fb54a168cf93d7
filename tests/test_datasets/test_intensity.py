import numpy as np
import pytest

from cranium.datasets import DistortWindow

NOTHING = dict(curve_prob=0, blur_prob=0, noise_prob=0)


def sample():
    image = np.full((32, 32, 4), 100, np.uint8)
    image[:8] = 0
    image[..., -1] = 50
    return dict(img=image)


def test_nothing_drawn_changes_nothing():
    results = DistortWindow(**NOTHING)(sample())
    assert np.array_equal(results['img'], sample()['img'])


@pytest.mark.parametrize('kind', NOTHING)
def test_bone_window_stays_and_types_too(kind):
    np.random.seed(0)
    results = DistortWindow(**NOTHING | {kind: 1})(sample())
    assert np.array_equal(results['img'][..., -1], sample()['img'][..., -1])
    assert not np.array_equal(results['img'], sample()['img'])
    assert results['img'].dtype == np.uint8


def test_curve_is_the_same_for_all_brain_windows_and_keeps_air():
    np.random.seed(0)
    results = DistortWindow(**NOTHING | dict(curve_prob=1))(sample())
    assert not results['img'][:8, :, :-1].any()
    (gray,) = np.unique(results['img'][8:, :, :-1])
    assert gray != 100


def test_curve_without_change_is_the_identity():
    transform = DistortWindow(brightness=0, contrast=0, gamma=0)
    assert np.array_equal(transform._draw_curve(), np.arange(256))


def test_contrast_turns_about_the_pivot(monkeypatch):
    """Twice the contrast about 0.4 of the window: 102 stays, 112 becomes 122."""
    draws = iter([(np.log(2), 0.0), 0.0])
    monkeypatch.setattr(np.random, 'normal', lambda *_: next(draws))
    table = DistortWindow()._draw_curve()
    assert table[[102, 112, 92, 255]].tolist() == [102, 122, 82, 255]


def test_noise_has_the_deviation_that_was_drawn():
    np.random.seed(0)
    image = np.full((200, 200, 2), 128, np.uint8)
    results = DistortWindow(**NOTHING | dict(noise_prob=1, noise=0.1))(dict(img=image))
    np.random.seed(0)
    np.random.random(3)
    assert results['img'][..., 0].std() == pytest.approx(255 * np.random.uniform(0, 0.1), rel=0.05)


def test_same_seed_same_gray_values():
    runs = []
    for seed in (5, 5, 6):
        np.random.seed(seed)
        runs.append(DistortWindow(curve_prob=1, noise_prob=1)(sample())['img'])
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])
