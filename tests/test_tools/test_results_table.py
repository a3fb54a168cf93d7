"""``cranium results-table``."""

import pytest
from click.testing import CliRunner

from cranium.cli.results_table import command
from cranium.errors import CraniumError
from tests.conftest import ROOT
from tests.test_evaluation.test_results_table import PREDECESSOR

from .commands import invoke


def test_runs(evaluated):
    folder, _ = evaluated
    output = invoke(command, folder / 'results-good', folder / 'results-bad')
    assert len(output.splitlines()) == 4


def test_ablation_compares_with_the_first(evaluated):
    folder, _ = evaluated
    output = invoke(command, '--ablation', folder / 'results-good', folder / 'results-bad')
    _, _, first, second = (
        [cell.strip() for cell in line.split('|')[1:]] for line in output.splitlines()
    )
    assert (first[0], second[0]) == ('results-good', 'results-bad')
    assert not first[2]
    assert float(second[2].split()[0]) == pytest.approx(
        float(second[1]) - float(first[1]), abs=1e-3
    )


def test_check_names_the_impossible_rows(tmp_path):
    (tmp_path / 'README.md').write_text(PREDECESSOR)
    result = CliRunner().invoke(
        command, ['--check', str(tmp_path / 'README.md')], standalone_mode=False
    )
    assert result.return_value == 1
    assert '3 rows checked, 2 contradict themselves' in result.stdout
    assert [line.split(':')[0][-6:].strip(' ,') for line in result.stderr.splitlines()] == [
        '0.001',
        '0.0001',
    ]


def test_the_project_s_own_table():
    result = CliRunner().invoke(
        command, ['--check', str(ROOT / 'README.md')], standalone_mode=False
    )
    assert '5 rows checked, 2 contradict themselves' in result.stdout and result.return_value == 1


def test_a_file_without_such_a_table(tmp_path):
    (tmp_path / 'x.md').write_text('| mIoU | mDice |\n|--|--|\n| good | - |\n')
    result = CliRunner().invoke(command, ['--check', str(tmp_path / 'x.md')])
    assert isinstance(result.exception, CraniumError)
    assert 'x.md: no table with a row of numbers for mIoU and mDice' in str(result.exception)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [([], 'name a run'), (['--ablation', 'x'], 'name two or more')],
)
def test_nothing_to_do(arguments, message):
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2 and message in result.output
