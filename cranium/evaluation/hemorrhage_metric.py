"""The metric that mmseg's configs name."""

import math
import pickle
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.logging import MessageHub, print_log
from mmseg.registry import METRICS
from numpy.typing import NDArray
from PIL import Image

from cranium.diagnosis import read_diagnosis
from cranium.errors import CraniumError
from cranium.evaluation import provenance
from cranium.evaluation.contrast import true_contrasts
from cranium.evaluation.records import measure_slice, with_types
from cranium.evaluation.results import (
    SUMMARY,
    describe_results,
    evaluate,
    read_operating_point,
    write_results,
)
from cranium.manifest import MANIFEST, read_manifest
from cranium.slices import parse_slice_name

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

    ``aAcc``, ``mIoU``, ``mAcc`` and ``mDice`` are those of mmseg's ``IoUMetric``, in percent, not
    rounded. A slice is scored for detection by the ``slice_score`` (log-odds) that the segmentor
    gave the data sample, else by the highest log-odds of its pixels, or without logits by its
    predicted area. Distances are in mm and volumes in ml where the data sample tells ``voxel_mm``
    (slice, row, column), as the manifest of scans with a known geometry does, else in pixels.

    Args:
        report (bool): Whether to compute every figure with its interval, print the table and
            write ``summary.json``, ``slices.csv``, ``patients.csv`` and the predicted masks, as a
            test should; otherwise a handful is logged. Defaults to False.
        results_dir (str, optional): Where to write them. Defaults to ``evaluation`` in the work
            directory of the run. Results of an earlier run that are there are replaced.
        diagnosis (str, optional): ``hemorrhage_diagnosis.csv``, for figures by hemorrhage type.
            Defaults to the manifest of the tested data set's ``data_root``, where it has one.
        leave_out_patients (sequence): Patients that the authors' Dice is also given without; the
            authors of ct-ich leave out 070. Defaults to none.
        operating_point (str, optional): ``summary.json`` of a run on validation patients, the
            thresholds of which give sensitivity and specificity here.
        score_smoothing (float): Standard deviation, in slices, of a Gaussian by which the scores of
            a scan are smoothed. Defaults to 0: each slice by itself.
        output_dir (str, optional): Where to write the predicted masks; ``mim test --out`` sets it.
            Nothing there is ever removed.
        keep_results (bool): Set by ``mim test --out`` too, without effect.
        **base: ``collect_device`` and ``prefix``, see BaseMetric.
    """

    def __init__(
        self,
        report: bool = False,
        results_dir: str | None = None,
        diagnosis: str | None = None,
        leave_out_patients: Sequence[int | str] = (),
        operating_point: str | None = None,
        score_smoothing: float = 0.0,
        output_dir: str | None = None,
        keep_results: bool = False,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self.report = report
        self.results_dir = results_dir
        # Read at once: a file that is missing should stop a run at its start.
        self.diagnosis = read_diagnosis(diagnosis) if diagnosis else None
        self.options: dict[str, Any] = {
            'leave_out': tuple(leave_out_patients),
            'operating_point': operating_point and read_operating_point(operating_point),
            'score_smoothing': score_smoothing,
        }
        self.output_dir = output_dir

    def process(self, data_batch: object, data_samples: Sequence[dict[str, Any]]) -> None:
        """Measure the slices of a batch, mmseg's data samples as dicts; errors name the slice."""
        classes = (self.dataset_meta or {}).get('classes') or ('background', 'hemorrhage')
        if len(classes) != 2:
            raise CraniumError(
                f'the data set has the classes {", ".join(classes)}; HemorrhageMetric is for '
                'background and hemorrhage'
            )
        if self.report and not self.results:
            # From here on, what is in the folder is not a whole run.
            (self._folder / SUMMARY).unlink(missing_ok=True)
        self.results += [self._measure(sample) for sample in data_samples]

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """Compute the figures of all slices, of which a handful is logged; nan where undefined."""
        if self.report and results:
            found = evaluate(**self._with_origin(pd.DataFrame(results)), **self.options)
            write_results(found, self._folder)
            print_log(f'\n{describe_results(found, self._folder)}', logger='current')
        else:
            found = evaluate(results, replicates=0, **self.options)
        values = {name: figure.value for name, figure in found.figures.items()}
        return {name: values.get(name, math.nan) for name in LOGGED}

    def _with_origin(self, slices: pd.DataFrame) -> dict[str, Any]:
        """The slices with their types, and where they come from, as :func:`evaluate` takes it."""
        config = _run_config()
        training = _training(config.get('load_from'))
        about = provenance.describe_run(config, set(slices['patient']), training)
        warnings = [*provenance.warnings(about), *self._clear_masks(slices['prediction_file'])]
        diagnosis = self.diagnosis
        root = provenance.data_set(config, 'test_dataloader').get('data_root')
        if diagnosis is None and root is not None and (Path(root) / MANIFEST).is_file():
            try:
                rows = read_manifest(root)
                diagnosis = rows if rows['types'].any() else None  # own scans may have none
            except CraniumError as error:  # no reason to lose a test that has run
                warnings.append(f'No figures by hemorrhage type: {error}.')
        return {
            'slices': slices if diagnosis is None else with_types(slices, diagnosis),
            'provenance': {**about, 'config': config.pretty_text if config else None},
            'warnings': warnings,
        }

    def _clear_masks(self, written: Collection[str]) -> list[str]:
        """Remove masks of an earlier run; in a folder of the user's, only tell of them."""
        known = {Path(file).resolve() for file in written}
        for file in (self._folder / 'masks').glob('*.png'):
            with suppress(CraniumError):  # no slice is named so
                parse_slice_name(file)
                if file.resolve() not in known:
                    file.unlink()
        files = sorted(self._mask_folder.glob('*.png'))
        other = [file.name for file in files if file.resolve() not in known]
        text = (
            f'{self._mask_folder} holds {len(other)} PNG files that this run did not write, first '
            f'{", ".join(other[:3])}; they were left there.'
        )
        return [text] if other else []

    def _measure(self, sample: dict[str, Any]) -> dict[str, Any]:
        image = sample.get('img_path', '')
        if 'patient' in sample and 'slice' in sample:
            patient, number = str(sample['patient']), int(sample['slice'])
        else:
            patient, number = parse_slice_name(image)
        if 'gt_sem_seg' not in sample:
            raise CraniumError(
                f'{image}: no truth to compare with; the test pipeline must load annotations, and '
                'slices without a mask cannot be evaluated'
            )
        truth, labels = (
            sample[key]['data'].squeeze(0).cpu().numpy() for key in ('gt_sem_seg', 'pred_sem_seg')
        )
        thickness, *spacing = sample.get('voxel_mm') or (math.nan,)
        writes = bool(self.output_dir or self.report)
        file = self._mask_folder / f'{Path(image).stem}.png' if writes else None
        record = measure_slice(
            truth,
            labels,
            *_probability(sample.get('seg_logits'), image),
            score=float(sample.get('slice_score', math.nan)),
            patient=patient,
            slice=number,
            spacing=spacing or None,
            thickness=thickness,
            image_file=image,
            truth_file=sample.get('seg_map_path') or '',
            prediction_file=str(file or ''),
        )
        if self.report:
            record['true_contrasts'] = true_contrasts(truth, image)
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)
            # A mask is small at any level of compression.
            Image.fromarray(labels.astype(np.uint8)).save(file, compress_level=1)
        return record

    @property
    def _mask_folder(self) -> Path:
        return Path(self.output_dir) if self.output_dir else self._folder / 'masks'

    @cached_property
    def _folder(self) -> Path:
        """Where the results go."""
        work_dir = _run_config().get('work_dir')
        if not (self.results_dir or work_dir):
            raise CraniumError(
                'HemorrhageMetric(report=True) outside of a run of mmengine needs results_dir'
            )
        return Path(self.results_dir or Path(work_dir, 'evaluation'))


def _run_config() -> Config:
    """Config of the run in progress; mmengine leaves it with the message hub. Empty without one."""
    text = MessageHub.get_current_instance().get_info('cfg')
    return Config.fromstring(text, '.py') if text else Config()


def _training(checkpoint: str | None) -> dict[str, Any] | None:
    """What a checkpoint says of its training; None where it does not, as of an older version."""
    if not checkpoint or not Path(checkpoint).is_file():
        return None
    try:
        # Mapped, so that no weights are read.
        content = torch.load(checkpoint, 'cpu', weights_only=True, mmap=True)
        training: dict[str, Any] | None = content['meta']['cranium']
    except (RuntimeError, pickle.UnpicklingError, KeyError, TypeError):
        return None
    return training


def _probability(
    logits: dict[str, torch.Tensor] | None, name: str
) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
    """Probability of hemorrhage and its log-odds, of shape (H, W), as far as the model gives them.

    mmseg's ``postprocess_result`` has taken the sigmoid of one output already; of two the softmax
    is the sigmoid of their difference.
    """
    if logits is None:
        return None, None
    data = logits['data']
    if len(data) > 2:
        raise CraniumError(
            f'{name}: the model has {len(data)} outputs; HemorrhageMetric is for one or two'
        )
    data = data if data.dtype == torch.float64 else data.float()
    if len(data) == 1:
        return data[0].cpu().numpy(), None
    log_odds = data[1] - data[0]
    return torch.sigmoid(log_odds).cpu().numpy(), log_odds.cpu().numpy()
