"""Figures of the hemorrhage class, which class means over 99.9 % background hide."""

import os.path as osp
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS

HEMORRHAGE = 1


@METRICS.register_module()
class HemorrhageMetric(IoUMetric):
    """mmseg's pooled figures, and Dice of hemorrhage over all pixels and over patients.

    Reported in percent, as by ``IoUMetric``:

    - ``aAcc``, ``mIoU``, ``mAcc``, ``mDice``: pixels pooled over the data set, mean over classes;
    - ``pixel/dice_hemorrhage``, ``pixel/iou_hemorrhage``: pixels pooled over the data set;
    - ``patient/dice``: Dice of each slice with hemorrhage, mean over a patient's slices, then over
      patients (Hssayeni et al., Data 5(1):14, 2020, https://doi.org/10.3390/data5010014).

    A figure without a case to compute it from is nan.

    Args:
        **kwargs: Passed to ``IoUMetric``; ``iou_metrics`` defaults to ['mIoU', 'mDice'].
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**{'iou_metrics': ['mIoU', 'mDice']} | kwargs)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Count the pixels of each slice and remember whose slice it is.

        Args:
            data_batch (dict): The batch, unused.
            data_samples (Sequence[dict]): With ``pred_sem_seg``, ``gt_sem_seg`` and ``img_path``.
        """
        before = len(self.results)
        super().process(data_batch, data_samples)
        patients = [osp.basename(sample['img_path']).split('_')[0] for sample in data_samples]
        self.results[before:] = zip(patients, self.results[before:])

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Aggregate the counts of all slices.

        Args:
            results (list): For each slice the patient and ``IoUMetric``'s four areas.

        Returns:
            dict[str, float]: The figures named above.
        """
        if self.format_only:
            return super().compute_metrics(results)
        metrics = super().compute_metrics([areas for _, areas in results])
        # (slices, [intersection, union, predicted, true])
        pixels = np.array([[float(area[HEMORRHAGE]) for area in areas] for _, areas in results])
        intersection, union, predicted, true = pixels.sum(axis=0)
        metrics['pixel/dice_hemorrhage'] = _percent(2 * intersection, predicted + true)
        metrics['pixel/iou_hemorrhage'] = _percent(intersection, union)
        by_patient = defaultdict(list)
        for (patient, _), (intersection, _, predicted, true) in zip(results, pixels):
            if true > 0:
                by_patient[patient].append(_percent(2 * intersection, predicted + true))
        dice = [np.mean(slices) for slices in by_patient.values()]
        metrics['patient/dice'] = float(np.mean(dice)) if dice else float('nan')
        return metrics


def _percent(part: float, whole: float) -> float:
    return float(100 * part / whole) if whole else float('nan')
