import sys
from types import ModuleType

import numpy as np
import pytest

from tests.test_engine.training import tiny_config, train


class Writer:
    """In place of TensorBoard's: keeps what it is given."""

    def __init__(self, save_dir):
        self.save_dir, self.scalars, self.images = save_dir, {}, {}
        Writer.last = self

    def add_scalar(self, name, value, step):
        self.scalars[name, step] = value

    def add_image(self, name, image, step, dataformats):
        assert dataformats == 'HWC'
        self.images[name, step] = image

    def add_text(self, *args):
        pass

    def close(self):
        pass


@pytest.fixture
def tensorboard(monkeypatch):
    """Pretend that TensorBoard is installed."""
    module = ModuleType('torch.utils.tensorboard')
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, 'torch.utils.tensorboard', module)


def test_one_switch_gives_tensorboard_the_figures_and_predictions(tree, tmp_path, tensorboard):
    train(tiny_config(tree, tmp_path, **{'visualizer.tensorboard': True}))
    (folder,) = tmp_path.glob('*/vis_data')
    assert Writer.last.save_dir == str(folder)
    assert {('loss', step) for step in range(1, 7)} <= Writer.last.scalars.keys()
    assert ('pixel/dice_hemorrhage', 6) in Writer.last.scalars
    ((name, step), image), *more = Writer.last.images.items()
    assert (name, step, image.dtype, image.shape[2], more) == ('predictions', 6, np.uint8, 3, [])
    # As without it: what plot_curves reads.
    assert (folder / 'scalars.json').exists()
