import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from PIL import Image

from cranium.visualization import hooks
from cranium.visualization.hooks import choose_slices
from tests.test_engine.training import tiny_config, train


def dices(work_dir):
    """The Dice of each validation that scalars.json has."""
    found = {}
    for file in work_dir.glob('*/vis_data/scalars.json'):
        for line in file.read_text().splitlines():
            entry = json.loads(line)
            if 'pixel/dice_hemorrhage' in entry:
                found[entry['step']] = entry['pixel/dice_hemorrhage']
    return found


def test_pictures_of_each_validation(tree, tmp_path, monkeypatch):
    """Curves that include it, and the same slices with their truth and prediction."""
    drawn, sheets = [], []
    plot_curves, make_sheet = hooks.plot_curves, hooks.contact_sheet

    def note_curves(work_dir, out):
        drawn.append(sorted(dices(work_dir)))
        plot_curves(work_dir, out)

    def note_sheet(panels, **kwargs):
        sheets.append((panels, kwargs['title']))
        return make_sheet(panels, **kwargs)

    monkeypatch.setattr(hooks, 'plot_curves', note_curves)
    monkeypatch.setattr(hooks, 'contact_sheet', note_sheet)
    config = tiny_config(tree, tmp_path, **{'train_cfg.val_interval': 3})
    train(config)
    assert drawn == [[3], [3, 6], [3, 6]]
    assert (tmp_path / 'curves.png').is_file()
    assert [title for _, title in sheets] == [
        'Validation slices at iteration 3',
        'Validation slices at iteration 6',
    ]
    assert sorted(path.name for path in (tmp_path / 'validations').iterdir()) == [
        'iter_3.png',
        'iter_6.png',
    ]
    for (panels, _), dice in zip(sheets, dices(tmp_path).values()):
        # Of three slices all are drawn: first those with hemorrhage.
        names = [panel.caption.split()[0] for panel in panels]
        assert names == ['071_001', '071_002', '071_003']
        for name, panel in zip(names, panels):
            mask = np.array(Image.open(tree / f'masks/val/{name}.png')) == 1
            np.testing.assert_array_equal(panel.masks['truth'], mask)
            image = np.array(Image.open(tree / f'images/val/{name}.png'))
            np.testing.assert_array_equal(panel.image, image)
        pairs = [(panel.masks['truth'], panel.masks['prediction']) for panel in panels]
        overlap = 2 * sum((t & p).sum() for t, p in pairs)
        assert dice == pytest.approx(overlap / sum(t.sum() + p.sum() for t, p in pairs), abs=1e-6)


def test_what_can_not_be_drawn_does_not_stop_a_training(tree, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError('no space left')

    monkeypatch.setattr(hooks, 'plot_curves', fail)
    monkeypatch.setattr(hooks, 'contact_sheet', fail)
    runner = train(tiny_config(tree, tmp_path))
    assert runner.iter == 6
    (log,) = tmp_path.glob('*/*.log')
    for what in ('the curves', 'predictions'):
        assert f'Could not draw {what}: OSError: no space left' in log.read_text()


def test_slices_that_can_not_be_chosen_do_not_stop_a_training(tree, tmp_path, monkeypatch):
    monkeypatch.setattr(hooks, 'choose_slices', lambda *_: [99])
    train(tiny_config(tree, tmp_path, **{'train_cfg.max_iters': 1}))
    (log,) = tmp_path.glob('*/*.log')
    assert 'Could not draw predictions: IndexError' in log.read_text()
    assert not (tmp_path / 'validations').exists()


def test_a_validation_alone_draws_nothing(tree, tmp_path):
    runner = Runner.from_cfg(tiny_config(tree, tmp_path))
    # mmengine's own fails without a training.
    runner._hooks = [hook for hook in runner.hooks if not isinstance(hook, CheckpointHook)]
    runner.val()
    assert not list(tmp_path.glob('*.png')) + list(tmp_path.glob('validations'))


@pytest.mark.parametrize(
    'flags, count, chosen',
    [
        # The middle of each half.
        ([1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0], 4, [1, 3, 6, 10]),
        ([0, 0, 1, 0], 4, [2, 0, 1, 3]),
        ([0, 0, 0, 0], 2, [1, 3]),
        ([1, 1, 1, 0], 4, [0, 1, 2, 3]),
        ([1, 0, 1, 0], 3, [0, 2, 3]),
        ([1, 0], 4, [0, 1]),
        ([], 4, []),
    ],
)
def test_choose_slices(flags, count, chosen):
    assert choose_slices(np.array(flags, bool), count) == chosen


@given(st.lists(st.booleans(), max_size=30), st.integers(1, 8))
def test_chosen_slices_are_as_many_as_can_be_and_half_with_hemorrhage(flags, count):
    flags = np.array(flags, bool)
    chosen = choose_slices(flags, count)
    assert len(set(chosen)) == len(chosen) == min(count, len(flags))
    short = min(flags.sum(), (~flags).sum())
    assert min(flags[chosen].sum(), (~flags[chosen]).sum()) == min(short, count // 2)
