"""The metric that mmseg's configs name."""

import math
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.logging import MessageHub, print_log
from mmseg.registry import METRICS
from PIL import Image

from cranium.evaluation import provenance
from cranium.evaluation.records import (
    SliceRecord,
    measure_slice,
    parse_name,
    read_diagnosis,
    read_manifest,
    smooth_scores,
    with_types,
)
from cranium.evaluation.results import (
    evaluate,
    format_table,
    read_operating_point,
    write_results,
)

# What is logged at each validation; the rest is in summary.json.
LOGGED = (
    'aAcc',
    'mIoU',
    'mAcc',
    'mDice',
    'pixel/iou_hemorrhage',
    'pixel/dice_hemorrhage',
    'slice/dice_mean',
    'patient/authors_dice',
    'patient/volume_dice_mean',
    'detection/slice_auc',
)


@METRICS.register_module()
class HemorrhageMetric(BaseMetric):
    """Hemorrhage segmentation and detection by pixel, slice, patient and lesion.

    It serves beside mmseg's ``IoUMetric`` or instead of it: ``aAcc``, ``mIoU``, ``mAcc`` and
    ``mDice`` are IoUMetric's figures, in percent, not rounded. A slice is scored for detection
    by the ``slice_score`` (log-odds) that the segmentor gave the data sample, else by the highest
    log-odds of its pixels, or without logits by its predicted area.

    Args:
        report (bool): Whether to compute every figure with its interval, print the table and
            write ``summary.json``, ``slices.csv``, ``patients.csv`` and the predicted masks, as a
            test should; otherwise a handful is logged. Defaults to False.
        results_dir (str, optional): Where to write them. Defaults to ``evaluation`` in the work
            directory of the run.
        diagnosis (str, optional): ``hemorrhage_diagnosis.csv``, for figures by hemorrhage type.
            Defaults to the ``manifest.csv`` of the prepared tree, where there is one.
        leave_out_patients (sequence): Patients that the authors' Dice is also given without; the
            authors of ct-ich leave out 070. Defaults to none.
        operating_point (str, optional): ``summary.json`` of a run on validation patients, the
            thresholds of which give sensitivity and specificity here.
        score_smoothing (float): Standard deviation, in slices, of a Gaussian by which the scores of
            a scan are smoothed; see :func:`smooth_scores`. Defaults to 0: each slice by itself.
        ignore_index (int): True label of pixels that do not count. Defaults to 255.
        output_dir (str, optional): Where to write the predicted masks; ``mim test --out`` sets it.
        keep_results (bool): Set by ``mim test --out`` too, without effect.
        collect_device (str): ``'cpu'`` or ``'gpu'``, see BaseMetric. Defaults to ``'cpu'``.
        prefix (str, optional): Put before the names of figures, see BaseMetric.
    """

    def __init__(
        self,
        report: bool = False,
        results_dir: str | None = None,
        diagnosis: str | None = None,
        leave_out_patients: Sequence[str] = (),
        operating_point: str | None = None,
        score_smoothing: float = 0.0,
        ignore_index: int = 255,
        output_dir: str | None = None,
        keep_results: bool = False,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.report = report
        self.results_dir = results_dir
        # Read at once: a file that is missing should stop a run at its start.
        self.diagnosis = read_diagnosis(diagnosis) if diagnosis else None
        self.operating_point = read_operating_point(operating_point) if operating_point else None
        self.leave_out_patients = tuple(leave_out_patients)
        self.score_smoothing = score_smoothing
        self.ignore_index = ignore_index
        self.output_dir = output_dir

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Measure the slices of a batch.

        Args:
            data_batch (object): Not used.
            data_samples (Sequence[dict]): mmseg's data samples as dicts.

        Raises:
            ValueError: If a slice has no truth, its prediction is of another size, a label is no
                class, the logits hold nan, or there are more than two; the message names the slice.
        """
        self._check_classes()
        self.results += [self._measure(sample) for sample in data_samples]

    def compute_metrics(self, results: list[SliceRecord]) -> dict[str, float]:
        """Compute the figures of all slices.

        Args:
            results (list[SliceRecord]): The measured slices.

        Returns:
            dict[str, float]: The handful of figures that is logged.
        """
        if self.score_smoothing:
            results = smooth_scores(results, self.score_smoothing)
        if self.report and results:
            results = with_types(results, self._types(results[0]))
        about = self._provenance(results) if self.report else {}
        found = evaluate(
            results,
            leave_out=self.leave_out_patients,
            operating_point=self.operating_point,
            provenance=about,
            warnings=provenance.warnings(about) if self.report else (),
            replicates=10_000 if self.report else 0,
        )
        if self.report:
            write_results(found, self._folder)
            print_log(f'\n{format_table(found.figures)}', logger='current')
            for warning in found.warnings:
                print_log(f'Note: {warning}', logger='current')
            print_log(f'All figures are in {self._folder}', logger='current')
        return {name: found.figures[name].value for name in LOGGED}

    def _types(self, record: SliceRecord) -> dict[tuple[str, int], tuple[str, ...]]:
        if self.diagnosis is not None:
            return self.diagnosis
        # <tree>/images/<split>/<slice>.png
        return read_manifest(Path(record.image_file).parent.parent.parent)

    def _check_classes(self) -> None:
        classes = (self.dataset_meta or {}).get('classes')
        if classes is not None and len(classes) != 2:
            raise ValueError(
                f'the data set has the classes {", ".join(classes)}; HemorrhageMetric is for '
                'background and hemorrhage'
            )

    def _measure(self, sample: dict) -> SliceRecord:
        image = sample.get('img_path', '')
        patient, number = self._identify(sample)
        if 'gt_sem_seg' not in sample:
            raise ValueError(
                f'{image}: no truth to compare with; the test pipeline must load annotations, and '
                'slices without a mask cannot be evaluated'
            )
        truth = _to_labels(sample['gt_sem_seg']['data'].squeeze(0))
        labels = _to_labels(sample['pred_sem_seg']['data'].squeeze(0))
        file = self._mask_file(image)
        probability, score = _probability(
            sample.get('seg_logits'), truth != self.ignore_index, image
        )
        score = float(sample.get('slice_score', score))
        record = measure_slice(
            truth,
            labels,
            probability,
            score,
            patient=patient,
            slice=number,
            ignore_index=self.ignore_index,
            image_file=image,
            truth_file=sample.get('seg_map_path') or '',
            prediction_file=str(file or ''),
        )
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(labels).save(file, compress_level=1)  # a mask is small at any level
        return record

    @staticmethod
    def _identify(sample: dict) -> tuple[str, int]:
        if 'patient' in sample and 'slice' in sample:
            return str(sample['patient']), int(sample['slice'])
        return parse_name(sample.get('img_path', ''))

    def _mask_file(self, image: str) -> Path | None:
        """Where the predicted mask of an image goes, if anywhere."""
        if not (self.output_dir or self.report):
            return None
        return Path(self.output_dir or self._folder / 'masks') / f'{Path(image).stem}.png'

    @cached_property
    def _folder(self) -> Path:
        """Where the results go."""
        if self.results_dir:
            return Path(self.results_dir)
        work_dir = _run_config().get('work_dir')
        if not work_dir:
            raise ValueError(
                'HemorrhageMetric(report=True) outside of a run of mmengine needs results_dir'
            )
        return Path(work_dir) / 'evaluation'

    @staticmethod
    def _provenance(records: Collection[SliceRecord]) -> dict[str, object]:
        config = _run_config()
        return {
            **provenance.describe_run(config, {r.patient for r in records}),
            'config': config.pretty_text if config else None,
        }


def _run_config() -> Config:
    """Config of the run in progress; mmengine leaves it with the message hub. Empty without one."""
    text = MessageHub.get_current_instance().get_info('cfg')
    return Config.fromstring(text, '.py') if text else Config()


def _to_labels(labels: torch.Tensor) -> np.ndarray:
    """Labels as bytes, on the CPU; what a byte cannot hold stays as it is, to be refused."""
    if labels.dtype != torch.uint8 and labels.numel() and labels.min() >= 0 and labels.max() < 256:
        whole = not labels.is_floating_point() or torch.equal(labels, labels.round())
        labels = labels.to(torch.uint8) if whole else labels
    return labels.cpu().numpy()


def _probability(
    logits: dict | None, counted: np.ndarray, name: str
) -> tuple[np.ndarray | None, float]:
    """Probability of hemorrhage, float64 of shape (H, W), and the highest log-odds that count.

    Log-odds rank slices however sure the model is; probabilities of 1 would tie.
    """
    if logits is None:
        return None, math.nan
    data = logits['data'].double()
    if len(data) > 2:
        raise ValueError(
            f'{name}: the model has {len(data)} outputs; HemorrhageMetric is for one or two'
        )
    # mmseg's postprocess_result has taken the sigmoid of one output already, and of two the
    # softmax is the sigmoid of their difference.
    if len(data) == 1:
        return data[0].cpu().numpy(), math.nan
    log_odds = data[1] - data[0]
    probability = torch.sigmoid(log_odds).cpu().numpy()
    if probability.shape != counted.shape or not counted.any():  # the sizes are checked later
        return probability, math.nan
    return probability, float(log_odds.cpu().numpy()[counted].max())
