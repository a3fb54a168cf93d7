"""tools/results_table.py as typed."""

from tests.test_evaluation.test_results_table import PREDECESSOR

from .commands import call


def test_runs(evaluated):
    folder, _ = evaluated
    done = call('results_table', folder / 'results-good', folder / 'results-bad')
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4 and not done.stderr


def test_check_names_the_impossible_rows(tmp_path):
    (tmp_path / 'README.md').write_text(PREDECESSOR)
    done = call('results_table', '--check', tmp_path / 'README.md')
    assert done.returncode == 1
    assert '3 rows checked, 2 contradict themselves' in done.stdout
    assert [line.split(':')[0][-6:].strip(' ,') for line in done.stderr.splitlines()] == [
        '0.001',
        '0.0001',
    ]


def test_nothing_to_do():
    assert call('results_table').returncode == 2
