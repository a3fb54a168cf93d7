"""``cranium compare``."""

import pytest

from cranium.cli.compare import MEASURES, command
from cranium.errors import CraniumError
from cranium.evaluation import comparison

from .commands import invoke


def test_two_runs(evaluated):
    folder, _ = evaluated
    output = invoke(command, folder / 'results-bad', folder / 'results-good')
    assert 'authors_dice of 4 patients with hemorrhage' in output
    assert 'cannot decide' in output  # four patients never can: P is at least 1/8


def test_measures(evaluated):
    folder, _ = evaluated
    runs = folder / 'results-bad', folder / 'results-good'
    output = invoke(command, *runs, '--measure', 'authors_dice', 'volume_dice')
    assert output.count('after Holm over 2') == 2
    assert MEASURES == comparison.MEASURES


def test_one_run(evaluated):
    folder, _ = evaluated
    with pytest.raises(CraniumError, match='needs two runs'):
        invoke(command, folder / 'results-bad')
