"""Charts as SVG."""

import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cranium.visualization import svg


class TestAxis:
    @pytest.mark.parametrize(
        ('low', 'high', 'expected'),
        [
            (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
            (0, 20_000, [0, 5000, 10_000, 15_000, 20_000]),
            (-4700, 3400, [-4000, -2000, 0, 2000]),
        ],
    )
    def test_round_ticks(self, low, high, expected):
        assert svg.Axis('x', low, high).ticks() == pytest.approx(expected)

    def test_decades(self):
        assert svg.Axis('x', 50, 20_000, log=True).ticks() == [100, 1000, 10_000]
        assert svg.Axis('x', 1, 100, log=True).position(10) == pytest.approx(0.5)

    @given(st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1), st.booleans())
    def test_holds_all_values(self, values, log):
        axis = svg.axis_for('x', values, log)
        shown = [v for v in values if v > 0 or not log]
        assert all(0 <= axis.position(value) <= 1 for value in shown)
        assert all(-1e-6 <= axis.position(tick) <= 1 + 1e-6 for tick in axis.ticks())

    @pytest.mark.parametrize('values', [[], [math.nan], [math.inf]])
    @pytest.mark.parametrize('log', [False, True])
    def test_without_values(self, values, log):
        assert svg.axis_for('x', values, log).high == 1


@pytest.fixture
def chart():
    return svg.Chart('A < B', 'What & why', svg.Axis('x', 0, 10), svg.Axis('y', 0, 1))


def parse(text):
    return ElementTree.fromstring(text)


class TestChart:
    def test_readers_get_title_and_description(self, chart):
        root = parse(chart.render())
        assert root.get('role') == 'img'
        named = {element.get('id'): element.text for element in root if element.get('id')}
        assert [named[name] for name in root.get('aria-labelledby').split()] == [
            'A < B',
            'What & why',
        ]

    def test_two_charts_of_a_page_have_different_names(self, chart):
        first, second = (parse(chart.render()).get('aria-labelledby') for _ in range(2))
        assert first != second

    def test_a_dot_lies_where_its_values_say(self, chart):
        chart.dots([(0, 0, 'origin'), (10, 1, 'end'), (math.nan, 1, 'nowhere')], 'first')
        first, last = parse(chart.render()).findall('circle')
        assert (float(first.get('cx')), float(first.get('cy'))) == (
            svg.LEFT,
            svg.HEIGHT - svg.BOTTOM,
        )
        assert (float(last.get('cx')), float(last.get('cy'))) == (svg.WIDTH - svg.RIGHT, svg.TOP)
        assert first.find('title').text == 'origin'

    def test_an_undefined_point_interrupts_a_line(self, chart):
        chart.line([(0, 0), (1, 1), (2, math.nan), (3, 1), (4, 0)], 'first', 'name')
        (path,) = [p for p in parse(chart.render()).findall('path') if 'L' in p.get('d')]
        assert path.get('d').count('M') == 2 and path.get('d').count('L') == 2

    def test_an_undefined_level_is_left_out(self, chart):
        before = chart.render().count('class="note"')
        chart.level(math.nan, 'first', 'mean')
        assert chart.render().count('class="note"') == before == 0


def test_bars():
    text = svg.bars('Dice', 'Two', [('049', 0.5, '049: 0.5'), ('050', math.nan, 'none')])
    tracks = [r for r in parse(text).findall('rect') if r.get('class') == 'track']
    lengths = [r.get('width') for r in parse(text).findall('rect') if r.get('class') == 'bar']
    assert float(lengths[0]) == pytest.approx(float(tracks[0].get('width')) / 2)
    assert float(lengths[1]) == 0
    assert parse(svg.bars('Dice', 'None', [])).get('viewBox')
