"""The relation between mIoU and mDice, and the table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cranium.evaluation import measures, results, results_table
from cranium.evaluation.results_table import Row, contradiction

from .slices import LITERAL

PREDECESSOR = """
| Method | Backbone | Crop Size | lr | mIoU | mDice | config |
| :-: | :-: | :-: | :-: | :-: | :-: | :-: |
| fcn_unet_s5-d16 | unet | 512x512 | 0.01 | 76.48 | 84.68 | [config](a.py) |
| fcn_unet_s5-d16 | unet | 512x512 | 0.001 | 61.06 | 63.69 | [config](b.py) |
| fcn_unet_s5-d16 | unet | 512x512 | 0.0001 | 58.87 | 62.42 | [config](c.py) |

| mIoU | other |
| --- | --- |
| 10 | 20 |
"""


def test_the_predecessor_s_table():
    rows = results_table.read_rows(PREDECESSOR.splitlines())
    assert [(row.miou, row.mdice) for row in rows] == [
        (76.48, 84.68),
        (61.06, 63.69),
        (58.87, 62.42),
    ]
    assert rows[0].label == 'fcn_unet_s5-d16, unet, 512x512, 0.01'
    assert contradiction(rows[0]) is None
    assert 'implies an mDice from 68.1 to 75.8' in contradiction(rows[1])
    assert 'implies an mDice from 65.1 to 74.1' in contradiction(rows[2])


def test_range_by_hand():
    # One class perfect, the other at IoU 0.5 and so at Dice 2/3; or both at 0.75 and so at 6/7.
    assert results_table.dice_range(0.75) == pytest.approx((5 / 6, 6 / 7))
    # One class at 0.5, the other at 0; or both at 0.25 and so at 0.4.
    assert results_table.dice_range(0.25) == pytest.approx((1 / 3, 0.4))
    assert results_table.dice_range(1) == (1, 1) and results_table.dice_range(0) == (0, 0)


COUNTS = st.integers(0, 10**5)


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_no_confusion_contradicts_itself(tp, fp, fn, tn):
    ious = measures.iou(tp, fp, fn), measures.iou(tn, fn, fp)
    dices = measures.dice(tp, fp, fn), measures.dice(tn, fn, fp)
    row = Row('x', round(50 * sum(ious), 2), round(50 * sum(dices), 2))
    assert contradiction(row) is None


@given(st.floats(0, 1), st.floats(0, 1))
def test_every_pair_of_ious_is_within_the_range_and_the_ends_are_reached(first, second):
    low, high = results_table.dice_range((first + second) / 2)
    mean = (2 * first / (1 + first) + 2 * second / (1 + second)) / 2
    assert low - 1e-12 <= mean <= high + 1e-12


def test_just_outside_is_flagged():
    low, high = (100 * end for end in results_table.dice_range(0.75))
    assert contradiction(Row('x', 75, low - 0.02)) and contradiction(Row('x', 75, high + 0.02))
    assert not contradiction(Row('x', 75, low)) and not contradiction(Row('x', 75, high))


@pytest.mark.parametrize(
    ('miou', 'mdice', 'possible'),
    [
        ('75', '86', True),  # at most 85.71 at an mIoU of 75, but 86.05 at 75.5
        ('75.00', '86', True),  # 85.71 is rounded to 86
        ('75.00', '86.0', False),
        ('75', '86.10', False),
        ('**75.0%**', '**85.7%**', True),
    ],
)
def test_as_many_decimals_count_as_are_written(miou, mdice, possible):
    (row,) = results_table.read_rows(['| mIoU | mDice |', f'| {miou} | {mdice} |'])
    assert (contradiction(row) is None) is possible


def test_table_of_runs():
    about = {
        'experiment': {'name': 'unet', 'backbone': 'UNet', 'crop_size': '512x512', 'lr': 0.01},
        'protocol': 'patient',
    }
    runs = [results.evaluate(LITERAL, replicates=50, provenance=p) for p in (about, {})]
    table = results_table.format_results(runs).splitlines()
    header, first, second = (
        [cell.strip() for cell in table[line].strip('|').split('|')] for line in (0, 2, 3)
    )
    cells = dict(zip(header, first))
    assert cells['mIoU'] == '65.66' and cells['hemorrhage Dice'] == '51.43'
    assert cells['patient Dice (authors) [95 %]'].startswith('0.667 [')
    assert first[-3:] == ['3 / 5', 'patient', 'unet']
    assert second[:4] == ['unnamed', '-', '-', '-'] and second[-2:] == ['unknown', '-']
    # What is printed can be checked again.
    assert [row.miou for row in results_table.read_rows(table)] == [65.66, 65.66]
    assert contradiction(results_table.row_of(runs[0])) is None
