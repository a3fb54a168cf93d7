"""HemorrhageMetric as mmengine runs it: beside IoUMetric, in one process and in two."""

import copy
import functools
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.evaluator import Evaluator
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS
from mmseg.structures import SegDataSample
from PIL import Image
from torch.utils.data import Dataset

from cranium.evaluation import measures, results
from cranium.evaluation.hemorrhage_metric import LOGGED, HemorrhageMetric

from . import two_processes
from .masks import blobs, perturbed, real_masks

META = {'classes': ('background', 'hemorrhage'), 'palette': [[0, 0, 0], [255, 0, 0]]}


def data_sample(name, truth, prediction, logits=None, **about):
    sample = SegDataSample(metainfo={'img_path': f'images/{name}.png', **about})
    sample.pred_sem_seg = PixelData(data=torch.from_numpy(prediction.astype(np.int64))[None])
    if truth is not None:
        sample.gt_sem_seg = PixelData(data=torch.from_numpy(truth.astype(np.int64))[None])
    if logits is not None:
        sample.seg_logits = PixelData(data=torch.from_numpy(logits))
    return sample


@functools.cache
def samples(count=15):
    rng = np.random.default_rng(1)
    made = []
    for index in range(count):
        truth = blobs(rng, (40, 56)) * (index % 3 > 0)
        logits = rng.normal(size=(2, 40, 56)).astype(np.float32)
        logits[1] += 6.0 * perturbed(rng, truth) - 3
        prediction = logits.argmax(0)
        if index % 4 == 0:
            truth[:3] = 255
        name = f'{49 + index // 3:03d}_{index % 3 + 1:03d}'
        made.append(data_sample(name, truth, prediction, logits))
    return made


class Slices(Dataset):
    metainfo = META

    def __len__(self):
        return len(samples())

    def __getitem__(self, index):
        return {'inputs': torch.zeros(1), 'data_samples': copy.deepcopy(samples()[index])}


class Echo(BaseModel):
    """A segmentor that gives back the predictions that its samples already hold."""

    def forward(self, inputs, data_samples=None, mode='predict'):
        return data_samples


def evaluate(*metrics, of=None):
    evaluator = Evaluator(list(metrics))
    evaluator.dataset_meta = META
    return evaluator.offline_evaluate(of or samples(), chunk_size=2)


def rounded(values):
    return {key: round(float(value), 2) for key, value in values.items()}


class TestIoUMetric:
    """The same run, seen by mmseg's metric."""

    def test_means(self):
        theirs = evaluate(IoUMetric(iou_metrics=['mIoU', 'mDice']))
        ours = evaluate(HemorrhageMetric())
        # mmseg rounds to two decimals.
        assert rounded({key: ours[key] for key in theirs}) == rounded(theirs)

    def test_to_ten_digits(self, tmp_path):
        metric = IoUMetric()
        metric.dataset_meta = META
        metric.process({}, [sample.to_dict() for sample in samples()])
        # Their own formulas; float64, as float32 cannot even hold the counts of 64 slices.
        areas = [sum(parts).double() for parts in zip(*metric.results)]
        theirs = IoUMetric.total_area_to_metrics(*areas, ['mIoU', 'mDice'])
        evaluate(HemorrhageMetric(report=True, results_dir=str(tmp_path)))
        figures = results.read_results(tmp_path).figures
        for key, measure in {'IoU': 'iou', 'Dice': 'dice', 'Acc': 'acc'}.items():
            ours = [figures[f'pixel/{measure}_{name}'].value for name in META['classes']]
            assert ours == pytest.approx(theirs[key], abs=1e-10)
            assert figures[f'm{key}'].value == pytest.approx(100 * theirs[key].mean(), abs=1e-10)
        assert figures['aAcc'].value == pytest.approx(100 * theirs['aAcc'], abs=1e-10)

    @settings(deadline=None)
    @given(st.integers(2, 6), st.integers(0, 2**32 - 1))
    def test_counts_of_any_labels(self, num_classes, seed):
        rng = np.random.default_rng(seed)
        truth, prediction = rng.integers(0, num_classes, (2, 9, 7))
        truth[rng.random(truth.shape) < 0.1] = 255
        tensors = torch.from_numpy(prediction), torch.from_numpy(truth)
        theirs = IoUMetric.intersect_and_union(*tensors, num_classes, 255)
        confusion = measures.confusion_matrix(truth, prediction, num_classes)
        tp, fp, fn, _ = measures.class_counts(confusion)
        for ours, area in zip((tp, tp + fp + fn, tp + fp, tp + fn), theirs):
            assert ours.tolist() == area.tolist()

    def test_a_class_that_is_nowhere(self):
        empty = np.zeros((5, 5), int)
        only = [data_sample('049_001', empty, empty)]
        theirs = evaluate(IoUMetric(iou_metrics=['mIoU', 'mDice']), of=only)
        ours = evaluate(HemorrhageMetric(), of=only)
        assert {key: ours[key] for key in theirs} == theirs == dict.fromkeys(theirs, 100)

    def test_beside_it(self):
        both = evaluate(IoUMetric(prefix='mmseg'), HemorrhageMetric())
        assert both['mmseg/mIoU'] == pytest.approx(both['mIoU'], abs=0.006)

    @pytest.mark.slow
    def test_real_masks(self):
        rng = np.random.default_rng(0)
        masks = real_masks()
        made = [
            data_sample(f'{number:03d}_001', mask, perturbed(rng, mask))
            for number, mask in enumerate(masks)
        ]
        theirs = evaluate(IoUMetric(iou_metrics=['mIoU', 'mDice']), of=made)
        ours = evaluate(HemorrhageMetric(), of=made)
        assert rounded({key: ours[key] for key in theirs}) == rounded(theirs)


class TestProbabilities:
    TRUTH = np.array([[0, 1, 1, 0]])

    def score(self, logits, tmp_path):
        sample = data_sample('049_001', self.TRUTH, 0 * self.TRUTH, np.float32(logits))
        evaluate(HemorrhageMetric(report=True, results_dir=str(tmp_path)), of=[sample])
        return results.read_results(tmp_path).records[0].score

    def test_two_logits(self, tmp_path):
        logits = [[[0, 1, 2, 3]], [[2, 2, 2, 2]]]
        assert self.score(logits, tmp_path) == 2  # the highest difference

    def test_one_output_is_a_probability_already(self, tmp_path):
        # What BaseSegmentor.postprocess_result does where there is one output.
        probability = torch.tensor([[[-3.0, 1, 0, -1]]]).sigmoid()
        sample = data_sample('049_001', self.TRUTH, 0 * self.TRUTH, probability.numpy())
        sample.pred_sem_seg = PixelData(data=(probability > 0.3).to(probability))
        evaluate(HemorrhageMetric(report=True, results_dir=str(tmp_path)), of=[sample])
        (record,) = results.read_results(tmp_path).records
        assert record.score == pytest.approx(1)
        assert (record.tp, record.fp) == (2, 0)

    def test_three_outputs(self, tmp_path):
        with pytest.raises(ValueError, match=r'049_001\.png: the model has 3 outputs'):
            self.score(np.zeros((3, 1, 4)), tmp_path)

    def test_confident_slices_do_not_tie(self, tmp_path):
        """Their probabilities are 1, in double precision as well."""
        scores = [self.score([[[0] * 4], [[high] * 4]], tmp_path) for high in (50, 60)]
        assert scores == [50, 60]

    def test_pixels_to_ignore_do_not_score(self, tmp_path):
        sample = data_sample(
            '049_001',
            np.array([[0, 1, 1, 255]]),
            0 * self.TRUTH,
            np.float32([[[0] * 4], [[1, 2, 3, 9]]]),
        )
        evaluate(HemorrhageMetric(report=True, results_dir=str(tmp_path)), of=[sample])
        assert results.read_results(tmp_path).records[0].score == 3

    def test_score_of_the_segmentor(self, tmp_path):
        sample = data_sample(
            '049_001', self.TRUTH, 0 * self.TRUTH, np.float32([[[0] * 4], [[1] * 4]])
        )
        sample.set_metainfo({'slice_score': -2.5})
        evaluate(HemorrhageMetric(report=True, results_dir=str(tmp_path)), of=[sample])
        assert results.read_results(tmp_path).records[0].score == -2.5

    def test_slices_of_a_scan_score_together(self, tmp_path):
        samples = [
            data_sample(name, self.TRUTH, 0 * self.TRUTH, np.float32([[[0] * 4], [[high] * 4]]))
            for name, high in (('049_003', 0), ('050_001', 8), ('049_004', 6))
        ]
        metric = HemorrhageMetric(report=True, results_dir=str(tmp_path), score_smoothing=1.0)
        evaluate(metric, of=samples)
        scores = {r.name: r.score for r in results.read_results(tmp_path).records}
        expected = {'049_003': 2.2652, '049_004': 3.7348, '050_001': 8}
        assert scores == pytest.approx(expected, abs=1e-4)

    def test_nan(self, tmp_path):
        with pytest.raises(ValueError, match='049_001: some probabilities are nan'):
            self.score([[[np.nan, 0, 0, 0]], [[0, 0, 0, 0]]], tmp_path)

    def test_a_slice_that_is_ignored_throughout(self, tmp_path):
        logits = np.float32([[[0, 0, 0, 0]], [[2, 2, 2, 2]]])
        metric = HemorrhageMetric(report=True, results_dir=str(tmp_path))
        kept = data_sample('049_001', self.TRUTH, self.TRUTH, logits)
        unlabelled = data_sample('049_002', 0 * self.TRUTH + 255, self.TRUTH, logits)
        evaluate(metric, of=[kept, unlabelled])
        found = results.read_results(tmp_path)
        assert [record.name for record in found.records] == ['049_001']
        assert any(warning.startswith('1 slices were left out') for warning in found.warnings)

    def test_without_logits_the_area_is_the_score(self):
        bare = [data_sample(f'049_00{n}', self.TRUTH * n, self.TRUTH * n) for n in (0, 1)]
        assert evaluate(HemorrhageMetric(), of=bare)['detection/slice_auc'] == 1


class TestBadInput:
    MASK = np.zeros((4, 6), int)

    @pytest.mark.parametrize(
        ('sample', 'message'),
        [
            (data_sample('049_001', None, MASK), r'images/049_001\.png: no truth'),
            (data_sample('049_001', MASK, MASK.T), '049_001: the truth has the shape'),
            (data_sample('049_001', MASK + 2, MASK), '049_001: the truth holds the labels'),
            (data_sample('049_001', MASK + 300, MASK), '049_001: the truth holds the labels'),
            (data_sample('049_001', MASK, MASK - 1), '049_001: the prediction holds the labels'),
            (data_sample('image', MASK, MASK), r'image\.png: the name does not tell patient'),
        ],
    )
    def test_names_the_slice(self, sample, message, tmp_path):
        with pytest.raises(ValueError, match=message):
            evaluate(HemorrhageMetric(output_dir=str(tmp_path)), of=[sample])
        assert not list(tmp_path.iterdir())

    def test_a_slice_twice(self):
        with pytest.raises(ValueError, match='measured more than once, first 049_001'):
            evaluate(HemorrhageMetric(), of=[data_sample('049_001', self.MASK, self.MASK)] * 2)

    def test_other_classes(self):
        metric = HemorrhageMetric()
        metric.dataset_meta = {'classes': ('road', 'car', 'sky')}
        with pytest.raises(ValueError, match='road, car, sky'):
            metric.process({}, [])

    def test_missing_files_stop_a_run_at_its_start(self):
        for option in ('diagnosis', 'operating_point'):
            with pytest.raises(FileNotFoundError, match='missing'):
                HemorrhageMetric(**{option: 'missing.file'})

    def test_a_report_needs_a_place(self):
        MessageHub.get_instance('outside of any run')  # another test's run is not ours
        with pytest.raises(ValueError, match='needs results_dir'):
            evaluate(HemorrhageMetric(report=True), of=samples()[:1])


def test_patient_and_slice_of_the_sample_come_before_its_name():
    mask = np.ones((3, 3), int)
    made = [
        data_sample('x', mask, mask, patient='049', slice=1),
        data_sample('x', mask, mask, patient='049', slice=2),
    ]
    assert evaluate(HemorrhageMetric(), of=made)['patient/authors_dice'] == 1


def test_types_come_from_the_diagnosis(tmp_path):
    (tmp_path / 'diagnosis.csv').write_text(
        'PatientNumber,SliceNumber,Intraventricular,Intraparenchymal,Subarachnoid,Epidural,'
        'Subdural\n49,2,0,0,0,1,0\n'
    )
    metric = HemorrhageMetric(
        report=True, results_dir=str(tmp_path), diagnosis=str(tmp_path / 'diagnosis.csv')
    )
    evaluate(metric)
    found = results.read_results(tmp_path)
    assert found.figures['type/epidural_dice_mean'].cases == 1
    assert any('does not know 14 of the slices' in warning for warning in found.warnings)


def test_masks_are_written_as_iou_metric_writes_them(tmp_path):
    config = {'type': 'HemorrhageMetric', 'output_dir': str(tmp_path / 'ours')}
    # As mim test --out sets it.
    evaluate(METRICS.build({**config, 'keep_results': True}))
    evaluate(IoUMetric(output_dir=str(tmp_path / 'theirs')))
    names = sorted(file.name for file in (tmp_path / 'theirs').iterdir())
    assert names == sorted(file.name for file in (tmp_path / 'ours').iterdir()) and names
    for name in names:
        ours, theirs = (np.asarray(Image.open(tmp_path / who / name)) for who in ('ours', 'theirs'))
        assert np.array_equal(ours, theirs)


def test_validation_logs_a_handful():
    assert tuple(evaluate(HemorrhageMetric())) == LOGGED
    assert next(iter(evaluate(HemorrhageMetric(prefix='val')))) == 'val/aAcc'


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A run of mmengine with a checkpoint and a prepared tree."""
    folder = tmp_path_factory.mktemp('run')
    for split, patients in {'train': ('049', '090'), 'val': ('049', '050')}.items():
        (folder / f'data/images/{split}').mkdir(parents=True)
        for patient in patients:
            (folder / f'data/images/{split}/{patient}_001.png').touch()
    (folder / 'data/splits.json').write_text('{"protocol": "slice"}')
    torch.save({'state_dict': {}}, folder / 'best_dice.pth')

    def loader(split):
        where = {'data_root': str(folder / 'data'), 'data_prefix': {'img_path': f'images/{split}'}}
        return {'batch_size': 2, 'dataset': {'type': 'CraniumDataset', **where}}

    runner = Runner(
        model=Echo(),
        work_dir=str(folder / 'work'),
        test_dataloader={
            'batch_size': 2,
            'dataset': Slices(),
            'sampler': {'type': 'DefaultSampler', 'shuffle': False},
        },
        # An instance: to look the name up, mmengine would import all of mmseg with mmcv's ops.
        test_evaluator=Evaluator([HemorrhageMetric(report=True)]),
        test_cfg={},
        load_from=str(folder / 'best_dice.pth'),
        experiment_name='metric',
        cfg={
            'work_dir': str(folder / 'work'),
            'load_from': str(folder / 'best_dice.pth'),
            'train_dataloader': loader('train'),
            'val_dataloader': loader('val'),
            'test_dataloader': loader('val'),
        },
    )
    return runner.test(), folder


class TestRun:
    def test_files_are_in_the_work_directory(self, run):
        metrics, folder = run
        found = results.read_results(folder / 'work')
        assert {name: found.figures[name].value for name in LOGGED} == metrics
        assert sorted(file.name for file in (folder / 'work/evaluation').iterdir()) == [
            'masks',
            'patients.csv',
            'slices.csv',
            'summary.json',
        ]
        assert len(list((folder / 'work/evaluation/masks').iterdir())) == len(samples())

    def test_provenance(self, run):
        _, folder = run
        about = json.loads((folder / 'work/evaluation/summary.json').read_text())['provenance']
        assert about['protocol'] == 'slice'
        assert len(about['splits']['sha256']) == len(about['checkpoint']['sha256']) == 64
        assert about['trained_on'] == ['049'] and about['chosen_on_test'] is True
        assert about['versions']['mmsegmentation'] and 'CraniumDataset' in about['config']

    def test_warnings(self, run):
        _, folder = run
        warnings = '\n'.join(results.read_results(folder / 'work').warnings)
        for part in ('Split by slices', '(049)', 'chosen as the best on these very data'):
            assert part in warnings


def test_two_processes_give_the_figures_of_one(tmp_path):
    torch.save([sample.to_dict() for sample in samples()], tmp_path / 'samples.pth')
    torch.multiprocessing.spawn(two_processes.evaluate, (2, str(tmp_path), META), nprocs=2)
    evaluate(HemorrhageMetric(report=True, results_dir=f'{tmp_path}/one'))
    one, two = (results.read_results(tmp_path / name) for name in ('one', 'two'))
    assert len(two.records) == 15
    assert repr(two.figures) == repr(one.figures)
