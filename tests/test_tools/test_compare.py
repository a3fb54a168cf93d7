"""tools/compare.py as typed."""

from .commands import call


def test_two_runs(evaluated):
    folder, _ = evaluated
    done = call('compare', folder / 'results-bad', folder / 'results-good')
    assert done.returncode == 0, done.stderr
    assert 'authors_dice of 4 patients with hemorrhage' in done.stdout
    assert 'cannot decide' in done.stdout  # four patients never can: P is at least 1/8


def test_measures(evaluated):
    folder, _ = evaluated
    runs = folder / 'results-bad', folder / 'results-good'
    done = call('compare', *runs, '--measure', 'authors_dice', 'volume_dice')
    assert done.stdout.count('after Holm over 2') == 2


def test_one_run(evaluated):
    folder, _ = evaluated
    done = call('compare', folder / 'results-bad')
    assert done.returncode == 1 and 'needs two runs' in done.stderr
