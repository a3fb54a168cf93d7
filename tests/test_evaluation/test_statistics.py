"""Weighted statistics equal the plain ones on cases that are really repeated."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from sklearn import metrics

from cranium.evaluation import statistics


@st.composite
def draws(draw, max_patients=6, max_cases=25):
    """Weights of a few draws, and cases that belong to the patients."""
    num_patients = draw(st.integers(1, max_patients))
    num_cases = draw(st.integers(0, max_cases))
    weights = draw(npst.arrays(float, (4, num_patients), elements=st.integers(0, 3)))
    owner = draw(npst.arrays(np.intp, num_cases, elements=st.integers(0, num_patients - 1)))
    value = st.integers(0, 8).map(lambda number: number / 8)
    values = draw(npst.arrays(float, num_cases, elements=st.one_of(value, st.just(np.nan))))
    truth = draw(npst.arrays(bool, num_cases))
    return weights, values, owner, truth


def repeated(row, owner, *arrays):
    times = row[owner].astype(int)
    return [np.repeat(array, times) for array in arrays]


def plain(function, values):
    defined = values[~np.isnan(values)]
    return function(defined) if len(defined) else np.nan


@given(draws())
def test_mean_and_median(case):
    weights, values, owner, _ = case
    means = statistics.weighted_mean(weights, values, owner)
    medians = statistics.weighted_median(weights, values, owner)
    for row, mean, median in zip(weights, means, medians):
        (sample,) = repeated(row, owner, values)
        assert mean == pytest.approx(plain(np.mean, sample), nan_ok=True)
        assert median == pytest.approx(plain(np.median, sample), nan_ok=True)


@settings(max_examples=50, deadline=None)
@given(draws())
def test_auc_and_average_precision(case):
    weights, values, owner, truth = case
    score = np.nan_to_num(values, nan=0.25)
    aucs = statistics.weighted_auc(weights, truth, score, owner)
    precisions = statistics.weighted_average_precision(weights, truth, score, owner)
    for row, auc, precision in zip(weights, aucs, precisions):
        labels, scores = repeated(row, owner, truth, score)
        if labels.any() and not labels.all():
            assert auc == pytest.approx(metrics.roc_auc_score(labels, scores))
            assert precision == pytest.approx(metrics.average_precision_score(labels, scores))
        else:
            assert np.isnan(auc) and np.isnan(precision)


def test_chunks_leave_no_seam():
    rng = np.random.default_rng(0)
    num = 2 * statistics.CHUNK + 7
    owner, truth, score = rng.integers(0, 9, num), rng.random(num) < 0.6, rng.random(num)
    weights = statistics.patient_weights(9, num, seed=1)
    for function in (statistics.weighted_auc, statistics.weighted_average_precision):
        whole = function(weights, truth, score, owner)
        assert whole[[0, 999, 1000, -1]] == pytest.approx(
            function(weights[[0, 999, 1000, -1]], truth, score, owner)
        )
    assert statistics.weighted_auc(weights, truth, score, owner)[0] == pytest.approx(
        metrics.roc_auc_score(truth, score)
    )


class TestPatientWeights:
    def test_first_row_is_the_patients_as_they_are(self):
        weights = statistics.patient_weights(5, replicates=50)
        assert weights.shape == (51, 5)
        assert (weights[0] == 1).all() and (weights[1:] != 1).any()
        assert (weights.sum(axis=1) == 5).all()

    def test_the_seed_decides(self):
        first, again, other = (statistics.patient_weights(5, 50, seed) for seed in (3, 3, 4))
        assert np.array_equal(first, again) and not np.array_equal(first, other)


class TestInterval:
    def test_literal(self):
        assert statistics.interval(np.arange(101.0)) == pytest.approx((2.5, 97.5))

    def test_undefined_draws_are_left_out(self):
        assert statistics.interval(np.array([np.nan, 1, 1])) == (1, 1)
        assert np.isnan(statistics.interval(np.array([np.nan]))).all()

    def test_covers_the_mean_about_as_often_as_it_says(self):
        rng = np.random.default_rng(0)
        weights = statistics.patient_weights(40, 400)
        covered = 0
        for _ in range(300):
            # Slices of a patient are alike: an interval over slices would be far too narrow.
            of_patients = rng.normal(size=40)
            values = (of_patients[:, None] + 0.1 * rng.normal(size=(40, 8))).ravel()
            means = statistics.weighted_mean(weights, values, np.repeat(np.arange(40), 8))
            low, high = statistics.interval(means[1:])
            covered += low <= 0 <= high
        assert 0.90 <= covered / 300 <= 0.98
