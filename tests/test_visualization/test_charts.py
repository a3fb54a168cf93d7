import re
from xml.etree import ElementTree

import pandas as pd
import pytest
from matplotlib.figure import Figure

from cranium.visualization import charts

SVG = '{http://www.w3.org/2000/svg}'
HREF = '{http://www.w3.org/1999/xlink}href'


def axis():
    return Figure().subplots()


def cases():
    return pd.DataFrame(dict(hemorrhage=[True, True, False, False], score=[4.0, 2.0, 3.0, 1.0]))


def lines(axis):
    return {line.get_label(): line.get_xydata().tolist() for line in axis.lines}


def test_roc():
    drawn = axis()
    charts.draw_roc(drawn, {'slices': cases()})
    # By falling score: found, false alarm, found, false alarm.
    expected = [[0, 0], [0, 0.5], [0.5, 0.5], [0.5, 1], [1, 1]]
    assert lines(drawn) == {'slices': expected, 'chance': [[0, 0], [1, 1]]}


def test_precision_recall():
    drawn = axis()
    charts.draw_precision_recall(drawn, {'slices': cases()})
    points = lines(drawn)['slices']
    assert points[-1] == [0, 1] and [0.5, 1] in points and [1, pytest.approx(2 / 3)] in points


def test_reliability():
    drawn = axis()
    bins = pd.DataFrame(
        dict(predicted=[0.1, 0.8], observed=[0.2, 0.7], low=[0, 0.4], high=[0.5, 1])
    )
    charts.draw_reliability(drawn, {'calibrated': bins})
    points, ideal = drawn.lines[1].get_xydata().tolist(), drawn.lines[0].get_xydata().tolist()
    assert (points, ideal) == ([[0.1, 0.2], [0.8, 0.7]], [[0, 0], [1, 1]])
    (bars,) = drawn.collections
    ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
    assert [end for both in ends for end in both] == pytest.approx([0, 0.5, 0.4, 1])


def test_dice_by_patient_is_sorted():
    drawn = axis()
    charts.draw_dice_by_patient(drawn, pd.Series({'049': 0.2, '050': 0.9, '051': 0.5}))
    assert [text.get_text() for text in drawn.get_yticklabels()] == ['050', '051', '049']
    assert [bar.get_width() for bar in drawn.patches] == [0.9, 0.5, 0.2]
    assert [text.get_text() for text in drawn.texts] == ['0.90', '0.50', '0.20']


def test_dice_by_size():
    drawn = axis()
    slices = pd.DataFrame(dict(name=['049_001'], tp=[8], fn=[2], dice=[0.8]))
    charts.draw_dice_by_size(drawn, slices)
    assert drawn.collections[0].get_offsets().tolist() == [[10, 0.8]]


def test_agreement():
    drawn = axis()
    volumes = pd.DataFrame(dict(tp=[10, 10], fp=[2, 0], fn=[0, 4]), index=['049', '050'])
    charts.draw_agreement(drawn, volumes)
    assert drawn.collections[0].get_offsets().tolist() == [[11, 2], [12, -4]]
    levels = [line.get_ydata()[0] for line in drawn.lines]
    # Errors 2 and -4: mean -1, standard deviation 3 sqrt(2).
    assert levels == pytest.approx([-1, -1 + 1.96 * 18**0.5, -1 - 1.96 * 18**0.5])
    assert [text.get_text() for text in drawn.texts] == ['mean -1', '+1.96 SD 7', '-1.96 SD -9']


def test_one_patient_has_no_limits_of_agreement():
    drawn = axis()
    charts.draw_agreement(drawn, pd.DataFrame(dict(tp=[10], fp=[2], fn=[0]), index=['049']))
    assert [text.get_text() for text in drawn.texts] == ['mean 2']


def test_a_chart_is_svg_with_words_links_and_the_colour_of_the_page():
    slices = pd.DataFrame(dict(name=['049_001', '050_002'], tp=1, fn=[2, 9], dice=[0.5, 0.1]))
    chart = charts.make_chart('sizes', 'Dice & size.', charts.draw_dice_by_size, slices)
    svg = ElementTree.fromstring(chart.svg)
    assert svg.tag == f'{SVG}svg' and svg.get('aria-label') == 'Dice & size.'
    links = {link.get(HREF): link.find(f'{SVG}title').text for link in svg.iter(f'{SVG}a')}
    assert links == {'#slice-049_001': '049_001', '#slice-050_002': '050_002'}
    texts = [text.text for text in svg.iter(f'{SVG}text')]
    assert 'Dice' in texts and 'Hemorrhage in the slice, pixels' in texts
    assert 'currentColor' in chart.svg and charts._INK not in chart.svg


def test_charts_share_no_ids_and_find_their_own():
    made = [
        charts.make_chart(name, '', lambda axis, data: axis.plot(data), [1, 2]).svg for name in 'ab'
    ]
    ids, uses = zip(
        *(
            (set(re.findall(r' id="([^"]+)"', svg)), set(re.findall(r'#([\w-]+)[")]', svg)))
            for svg in made
        )
    )
    assert not ids[0] & ids[1]
    assert uses[0] and uses[0] <= ids[0] and uses[1] <= ids[1]
