"""``cranium publish``."""

import hashlib

import pytest
import torch

from cranium.cli.publish import command
from cranium.evaluation import pooling, results
from tests.test_evaluation.test_pooling import clean, fold, scored

from .commands import invoke


@pytest.fixture
def checkpoint(tmp_path):
    file = tmp_path / 'iter_1.pth'
    torch.save({'state_dict': {'a': torch.ones(3)}, 'meta': {'iter': 1}}, file)
    return file


def test_it_tells_the_checksum(checkpoint, tmp_path):
    out = tmp_path / 'weights.pth'
    printed = invoke(command, checkpoint, '--out', out)
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    assert printed.splitlines() == [f'{out}: 3 weights, 0.0 MB', f'SHA-256 {digest}']


def write_pooled(folder, score, alone=False):
    """The results of a cross-validation, in which bleeds have this score."""
    about = fold(0).provenance | {'alone': alone}
    folds = {
        n: results.evaluate(
            [*scored(f'{n}1', score, 0.0), clean(f'{n}2', 1.0)], provenance=about, replicates=0
        )
        for n in (1, 2)
    }
    results.write_results(pooling.pool(folds, replicates=0), folder)


def test_what_scores_mean_comes_from_the_cross_validation(checkpoint, tmp_path, monkeypatch):
    def points(name, cross_validation):
        out = tmp_path / name
        said = invoke(command, checkpoint, '--out', out, '--cross-validation', cross_validation)
        return said, torch.load(out)['meta']['cranium']['operating_points']

    write_pooled(tmp_path / 'cv/pooled', 5.0)
    said, found = points('a.pth', tmp_path / 'cv')
    assert '`cranium cross-validate --alone` measures their own' in said
    assert found['slice']['threshold'] == 5 and 'lone_slice' not in found
    write_pooled(tmp_path / 'cv/pooled-alone', 4.0, alone=True)
    monkeypatch.chdir(tmp_path / 'cv/pooled')
    for name, place in (('b.pth', tmp_path / 'cv'), ('c.pth', '.')):
        said, found = points(name, place)
        assert 'alone' not in said
        assert found['slice']['threshold'] == 5 and found['lone_slice']['threshold'] == 4
