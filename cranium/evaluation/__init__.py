"""Measures, their aggregation by slice, patient and lesion, and the metric for mmseg.

``measures``, ``records``, ``statistics`` and ``summary`` need no torch, so the commands that read
results start fast; ``HemorrhageMetric`` is imported on first use.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cranium.evaluation.hemorrhage_metric import HemorrhageMetric

__all__ = ['HemorrhageMetric']


def __getattr__(name: str) -> object:
    if name == 'HemorrhageMetric':
        from cranium.evaluation.hemorrhage_metric import HemorrhageMetric

        return HemorrhageMetric
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
