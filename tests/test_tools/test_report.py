"""tools/report.py as typed."""

from .commands import call


def test_html(evaluated):
    folder, _ = evaluated
    done = call('report', folder / 'results-good')
    assert done.returncode == 0, done.stderr
    file = folder / 'results-good/report.html'
    assert done.stdout.strip() == str(file)
    assert file.read_text().startswith('<!DOCTYPE html>') and file.stat().st_size < 10e6


def test_markdown(evaluated, tmp_path):
    folder, _ = evaluated
    done = call('report', folder / 'results-good', '--format', 'md', '--out', tmp_path / 'x.md')
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'x.md').read_text().startswith('# Intracranial hemorrhage: results-good')


def test_no_results(tmp_path):
    done = call('report', tmp_path)
    assert done.returncode == 1 and 'make one with mim test' in done.stderr
