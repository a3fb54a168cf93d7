"""Results that several commands read."""

import pytest

from cranium.cli.evaluate import command

from .commands import invoke, save_masks


@pytest.fixture(scope='session')
def evaluated(tmp_path_factory):
    """A prepared tree, and the results of two models on it."""
    folder = tmp_path_factory.mktemp('evaluated')
    save_masks(folder)
    outputs = {}
    for name in ('good', 'bad'):
        outputs[name] = invoke(
            command,
            *('--pred', folder / name, '--truth', folder / 'masks/val'),
            *('--images', folder / 'images/val', '--out', folder / f'results-{name}'),
        )
    return folder, outputs
