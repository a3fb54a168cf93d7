import numpy as np

from cranium.visualization.overlay import TRUTH
from cranium.visualization.pipeline import Stage, run_steps, stage_panels


class Load:
    def __call__(self, sample):
        return sample | dict(img=np.arange(48.0).reshape(4, 4, 3))


class Nothing:
    def __call__(self, sample):
        return sample


class Label:
    def __call__(self, sample):
        return sample | dict(gt_seg_map=np.eye(8, dtype=np.uint8))


class Darken:
    def __call__(self, sample):
        sample['img'] -= [1, 48, 1]  # in place, as some transforms do
        return sample


def test_a_stage_for_each_step_that_has_an_image():
    stages = run_steps({}, [Nothing(), Load(), Label(), Darken()])
    assert [stage.step for stage in stages] == ['Load', 'Label', 'Darken']
    assert stages[0].mask is None
    assert [stage.image[0, 0, 0] for stage in stages] == [0, 0, -1]


def test_a_row_holds_the_middle_channel_of_each_stage_and_the_others_of_the_last():
    stages = run_steps({}, [Load(), Label(), Darken()])
    panels, columns = stage_panels([('a', stages), ('b', stages)])
    captions = ['Load', 'Label', 'Darken', 'channel 0', 'channel 2']
    assert [panel.caption for panel in panels] == [f'{n}  {c}' for n in 'ab' for c in captions]
    assert columns == 5
    assert [TRUTH in panel.masks for panel in panels[:5]] == [False, True, True, False, False]
    assert np.array_equal(panels[1].masks[TRUTH], np.eye(8, dtype=bool))
    # Black to white over each picture: of the middle channel, 1, 4, ... 46.
    assert panels[0].image.ravel().tolist() == [17 * n for n in range(16)]


def test_air_around_a_slice_takes_no_contrast():
    stage = Stage('AlignHead', np.array([[[-1000], [-100], [50], [200]]], np.int16), None)
    panels, _ = stage_panels([('a', [stage])])
    assert panels[0].image.tolist() == [[0, 0, 128, 255]]


def test_a_slice_of_8_bits():
    stage = Stage('Resize', np.array([[[40], [60], [80]]], np.uint8), None)
    panels, _ = stage_panels([('a', [stage])])
    assert panels[0].image.tolist() == [[0, 128, 255]]


def test_steps_that_change_no_slice_are_left_out():
    changed = run_steps({}, [Load(), Label(), Darken()])
    unchanged = run_steps({}, [Load(), Label(), Nothing()])
    assert stage_panels([('a', unchanged)])[1] == 4
    assert stage_panels([('a', unchanged), ('b', changed)])[1] == 5
