"""The window of a picture, from the brain in it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cranium.scans.estimate import estimate_window
from cranium.windows import BRAIN, Window


def head(lower=30.5, upper=39.9, side=200):
    """HU of a square head of bone around brain, half of it at the one and half at the other HU."""
    hu = np.full((side, side), -1000, np.int16)
    hu[20:-20, 20:-20] = 1000
    # Ten times, for whole HU are too coarse.
    brain = np.where(np.arange(side) // 40 % 2, 10 * upper, 10 * lower).astype(np.int16)
    hu = (10 * hu.astype(np.int32)).clip(-9999, 9999).astype(np.int16)
    hu[35:-35, 35:-35] = brain[35:-35]
    return hu


def picture(hu, window):
    """Show tenths of HU."""
    return Window(10 * window.level, 10 * window.width).to_gray(hu)


@pytest.mark.parametrize('level, width', [(30, 110), (50, 110)])
def test_a_usual_width_is_found(level, width):
    found = estimate_window([picture(head(), Window(level, width))])
    assert found.level == pytest.approx(level, abs=1)
    assert found.width == pytest.approx(width, rel=0.05)


@pytest.mark.parametrize('width, found', [(70, 77), (200, 177)])
def test_others_are_drawn_towards_it(width, found):
    # (4 log(width) + log(110)) / 5: the spread varies by a fifth, windows by two.
    estimated = estimate_window([picture(head(), Window(30, width))])
    assert estimated.width == pytest.approx(found, rel=0.06)


@given(st.integers(30, 50), st.integers(70, 200))
def test_the_dark_quarter_of_the_brain_ends_where_it_should(level, width):
    shown = Window(level, width)
    gray = picture(head(), shown)
    found = estimate_window([gray])
    at_lower = int(shown.to_gray(np.float32([30.5]))[0])
    apart = 7 if found == BRAIN else 2
    assert found.to_hu(np.uint8([at_lower]))[0] == pytest.approx(30.5, abs=apart)


@pytest.mark.parametrize('lower, upper', [(30.5, 39.9), (26, 40), (36, 42)])
def test_the_brain_window_stands_where_it_may(lower, upper):
    """Within 6 HU, and a spread of 5.7 to 15.5 HU."""
    assert estimate_window([picture(head(lower, upper), BRAIN)]) == BRAIN


@pytest.mark.parametrize('lower, upper', [(23.5, 33), (37.5, 47), (30.5, 35.5), (30.5, 47)])
def test_brain_that_contradicts_it(lower, upper):
    assert estimate_window([picture(head(lower, upper), BRAIN)]) not in (BRAIN, None)


def test_of_all_slices_together():
    shown = Window(30, 110)
    lone = [picture(head(brain, brain), shown) for brain in (30.5, 39.9)]
    assert estimate_window(lone).width == pytest.approx(110, rel=0.06)
    assert estimate_window(lone[:1]) is None


def test_of_any_size():
    large = picture(head(), Window(30, 80)).repeat(4, 0).repeat(4, 1)
    assert estimate_window([large]) == estimate_window([large[::4, ::4]])


@pytest.mark.parametrize(
    'gray',
    [
        np.zeros((64, 64), np.uint8),  # no head
        picture(head(30.5, 30.5), Window(40, 110)),  # a drawing
        picture(head(), Window(700, 3200)),  # a bone window
        picture(head(), Window(-5, 110)),  # nobody looks at brain like this
        picture(head(), Window(40, 20)),  # all is black or white
        np.full((64, 64), 255, np.uint8),
    ],
    ids=['black', 'flat', 'bone window', 'bright', 'narrow', 'white'],
)
def test_nothing_to_go_by(gray):
    assert estimate_window([gray]) is None


def test_no_pictures():
    assert estimate_window([]) is None
