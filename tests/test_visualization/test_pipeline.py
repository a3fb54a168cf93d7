import numpy as np
import pytest
from PIL import Image

from cranium.visualization.pipeline import draw_stages, run_steps


class Load:
    def __call__(self, results):
        return results | dict(img=np.arange(48.0).reshape(4, 4, 3))


class Nothing:
    def __call__(self, results):
        return results


class Label:
    def __call__(self, results):
        return results | dict(gt_seg_map=np.eye(8, dtype=np.uint8))


class Darken:
    def __call__(self, results):
        results['img'] -= 1  # in place, as some transforms do
        return results


def test_a_stage_for_each_step_that_has_an_image():
    stages = run_steps({}, [Nothing(), Load(), Label(), Darken()])
    assert [stage.name for stage in stages] == ['Load', 'Label', 'Darken']
    assert stages[0].mask is None
    assert [stage.image[0, 0, 0] for stage in stages] == [0, 0, -1]


def test_picture_has_a_cell_for_each_stage_and_channel(tmp_path):
    stages = run_steps({}, [Load(), Label(), Darken()])
    draw_stages([('049_001', stages), ('049_002', stages)], tmp_path / 'a.png')
    draw_stages([('049_001', stages)], tmp_path / 'b.png')
    two, one = (Image.open(tmp_path / name) for name in ('a.png', 'b.png'))
    assert two.width == one.width
    assert abs(two.height - 2 * one.height) <= 1
    assert abs(one.width - 4 * one.height) <= 4  # three stages, two other channels, each 1 to 1.25


def test_picture_leaves_out_what_changes_no_slice(tmp_path):
    changed = run_steps({}, [Load(), Label(), Darken()])
    unchanged = run_steps({}, [Load(), Label(), Nothing()])
    for name, slices in (('none', [unchanged]), ('one', [unchanged, changed])):
        draw_stages([('049_001', stages) for stages in slices], tmp_path / f'{name}.png')
    none, one = (Image.open(tmp_path / f'{name}.png') for name in ('none', 'one'))
    assert one.width == pytest.approx(none.width * 5 / 4, abs=4)  # a column more, in both rows
