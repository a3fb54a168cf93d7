"""HemorrhageMetric as mmengine runs it: beside IoUMetric, in one process and in two."""

import copy
import functools
import itertools

import numpy as np
import pandas as pd
import pytest
import torch
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

from cranium.errors import CraniumError
from cranium.evaluation import hemorrhage_metric, results
from cranium.evaluation.hemorrhage_metric import LOGGED, HemorrhageMetric
from cranium.manifest import COLUMNS, write_manifest
from cranium.windows import encode_hu

from . import two_processes
from .masks import blobs, perturbed, real_masks

META = {'classes': ('background', 'hemorrhage'), 'palette': [[0, 0, 0], [255, 0, 0]]}

NUMBERS = itertools.count()


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
    MessageHub.get_instance(f'no run {next(NUMBERS)}')  # the newest counts; no other test's run
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

    def test_a_class_that_is_nowhere(self):
        empty = np.zeros((5, 5), int)
        only = [data_sample('049_001', empty, empty)]
        theirs = evaluate(IoUMetric(iou_metrics=['mIoU', 'mDice']), of=only)
        ours = evaluate(HemorrhageMetric(), of=only)
        assert {key: ours[key] for key in theirs} == theirs == dict.fromkeys(theirs, 100)

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


def report(folder, samples, **options):
    """Evaluate samples and read back what was written."""
    evaluate(HemorrhageMetric(report=True, results_dir=str(folder), **options), of=samples)
    return results.read_results(folder)


class TestProbabilities:
    TRUTH = np.array([[0, 1, 1, 0]])

    def sample(self, logits, name='049_001', **about):
        return data_sample(name, self.TRUTH, 0 * self.TRUTH, np.float32(logits), **about)

    def score(self, logits, tmp_path, **about):
        return report(tmp_path, [self.sample(logits, **about)]).slices.score[0]

    def test_two_logits(self, tmp_path):
        logits = [[[0, 1, 2, 3]], [[2, 2, 2, 2]]]
        assert self.score(logits, tmp_path) == 2  # the highest difference

    def one_output(self, logits):
        """What BaseSegmentor.postprocess_result does where there is one output."""
        probability = torch.tensor([[logits]]).sigmoid()
        sample = data_sample('049_001', self.TRUTH, 0 * self.TRUTH, probability.numpy())
        sample.pred_sem_seg = PixelData(data=(probability > 0.3).to(probability))
        return sample

    def test_one_output_is_a_probability_already(self, tmp_path):
        (row,) = report(tmp_path, [self.one_output([-3.0, 1, 0, -1])]).slices.itertuples()
        assert row.score == pytest.approx(1)
        assert (row.tp, row.fp) == (2, 0)

    def test_one_output_that_is_certain(self, tmp_path):
        found = report(tmp_path, [self.one_output([-200.0, 99, 0, -1])])
        assert 36 < found.slices.score[0] < 37
        assert found.figures['patient/authors_dice'].value == 1

    def test_three_outputs(self, tmp_path):
        with pytest.raises(CraniumError, match=r'049_001\.png: the model has 3 outputs'):
            self.score(np.zeros((3, 1, 4)), tmp_path)

    def test_confident_slices_do_not_tie(self, tmp_path):
        """Their probabilities are 1, in double precision as well."""
        scores = [self.score([[[0] * 4], [[high] * 4]], tmp_path) for high in (50, 60)]
        assert scores == [50, 60]

    def test_pixels_to_ignore_do_not_score(self, tmp_path):
        sample = self.sample([[[0] * 4], [[1, 2, 3, 9]]])
        sample.gt_sem_seg = PixelData(data=torch.tensor([[[0, 1, 1, 255]]]))
        assert report(tmp_path, [sample]).slices.score[0] == 3

    def test_score_of_the_segmentor(self, tmp_path):
        assert self.score([[[0] * 4], [[1] * 4]], tmp_path, slice_score=-2.5) == -2.5

    def test_slices_of_a_scan_score_together(self, tmp_path):
        samples = [
            self.sample([[[0] * 4], [[high] * 4]], name)
            for name, high in (('049_003', 0), ('050_001', 8), ('049_004', 6))
        ]
        found = report(tmp_path, samples, score_smoothing=1.0)
        assert found.slices.score.tolist() == pytest.approx([2.2652, 3.7348, 8], abs=1e-4)
        assert found.slices.score_raw.tolist() == [0, 6, 8]
        assert found.operating_point.score_smoothing == 1

    def test_a_model_that_has_diverged_ends_neither_training_nor_test(self, tmp_path):
        broken = self.sample([[[np.nan] * 4], [[0] * 4]])
        sound = self.sample([[[0] * 4], [[1] * 4]], '050_001')
        assert np.isnan(evaluate(HemorrhageMetric(), of=[broken])['detection/slice_auc'])
        found = report(tmp_path, [broken, sound])
        assert any('the model has diverged' in warning for warning in found.warnings)
        assert np.isnan(found.figures['detection/slice_auc'].value)
        assert found.figures['patient/authors_dice'].value == 0

    def test_a_slice_that_is_ignored_throughout(self, tmp_path):
        logits = np.float32([[[0, 0, 0, 0]], [[2, 2, 2, 2]]])
        kept = data_sample('049_001', self.TRUTH, self.TRUTH, logits)
        unlabelled = data_sample('049_002', 0 * self.TRUTH + 255, self.TRUTH, logits)
        found = report(tmp_path, [kept, unlabelled])
        assert found.slices.slice.tolist() == [1]
        assert any(warning.startswith('1 slices were left out') for warning in found.warnings)

    def test_without_logits_the_area_is_the_score(self):
        bare = [data_sample(f'049_00{n}', self.TRUTH * n, self.TRUTH * n) for n in (0, 1)]
        assert evaluate(HemorrhageMetric(), of=bare)['detection/slice_auc'] == 1


def test_contrasts_come_from_the_image_in_a_test_alone(tmp_path, monkeypatch):
    truth = np.zeros((40, 40), int)
    truth[10:20, 10:20] = 1
    hu = np.where(truth, 45, 30).astype(np.int16)
    Image.fromarray(encode_hu(hu)).save(tmp_path / '049_001.png')
    sample = data_sample('049_001', truth, truth)
    sample.set_metainfo({'img_path': str(tmp_path / '049_001.png')})
    found = report(tmp_path / 'out', [sample])
    assert found.slices.true_contrasts.tolist() == ['15.00']
    assert found.figures['lesion/sensitivity_contrast_medium'].value == 1
    monkeypatch.setattr(hemorrhage_metric, 'true_contrasts', lambda *args: 1 / 0)
    assert evaluate(HemorrhageMetric(), of=[sample])['slice/dice_mean'] == 1


class TestBadInput:
    MASK = np.zeros((4, 6), int)

    @pytest.mark.parametrize(
        ('sample', 'message'),
        [
            (data_sample('049_001', None, MASK), r'images/049_001\.png: no truth'),
            (data_sample('049_001', MASK, MASK.T), '049_001: the truth has the shape'),
            (data_sample('049_001', MASK + 2, MASK), '049_001: the truth holds the labels'),
            (data_sample('image', MASK, MASK), r'image\.png: expected a name of the form'),
        ],
    )
    def test_names_the_slice(self, sample, message, tmp_path):
        with pytest.raises(CraniumError, match=message):
            evaluate(HemorrhageMetric(output_dir=str(tmp_path)), of=[sample])
        assert not list(tmp_path.iterdir())

    def test_a_slice_twice(self):
        with pytest.raises(CraniumError, match='measured more than once, first 049_001'):
            evaluate(HemorrhageMetric(), of=[data_sample('049_001', self.MASK, self.MASK)] * 2)

    def test_other_classes(self):
        metric = HemorrhageMetric()
        metric.dataset_meta = {'classes': ('road', 'car', 'sky')}
        with pytest.raises(CraniumError, match='road, car, sky'):
            metric.process({}, [])

    def test_missing_files_stop_a_run_at_its_start(self):
        for option in ('diagnosis', 'operating_point'):
            with pytest.raises((CraniumError, FileNotFoundError), match='missing'):
                HemorrhageMetric(**{option: 'missing.file'})

    def test_a_report_needs_a_place(self):
        with pytest.raises(CraniumError, match='needs results_dir'):
            evaluate(HemorrhageMetric(report=True), of=samples()[:1])


def test_patient_and_slice_of_the_sample_come_before_its_name():
    mask = np.ones((3, 3), int)
    made = [
        data_sample('x', mask, mask, patient='049', slice=1),
        data_sample('x', mask, mask, patient='049', slice=2),
    ]
    assert evaluate(HemorrhageMetric(), of=made)['patient/authors_dice'] == 1


def test_distances_in_mm_and_volumes_in_ml_where_the_voxel_is_known(tmp_path):
    """A column of 3 pixels too far to the right by one: 2 mm, and each pixel 4 x 2 x 5 mm."""
    truth, mask = np.zeros((2, 9, 9), int)
    truth[2:5, 3], mask[2:5, 4], mask[5, 4] = 1, 1, 1
    known = dict(patient='049', slice=1, voxel_mm=(5.0, 4.0, 2.0))
    found = report(tmp_path, [data_sample('x', truth, mask, **known)])
    assert found.figures['slice/hd95_mean'].unit == 'mm'
    assert found.slices[['unit', 'pixel_volume']].to_numpy().tolist() == [['mm', 0.04]]
    assert found.slices.assd[0] == pytest.approx((6 * 2 + (4**2 + 2**2) ** 0.5) / 7)
    assert found.figures['patient/volume_error_ml'].value == pytest.approx(0.04)


def test_types_come_from_the_diagnosis(tmp_path):
    (tmp_path / 'diagnosis.csv').write_text(
        'PatientNumber,SliceNumber,Intraventricular,Intraparenchymal,Subarachnoid,Epidural,'
        'Subdural,No_Hemorrhage,Fracture_Yes_No\n49,2,0,0,0,1,0,0,0\n'
    )
    found = report(tmp_path, samples(), diagnosis=str(tmp_path / 'diagnosis.csv'))
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


class TestAgain:
    """A test into the folder of an earlier one."""

    def test_only_the_new_masks_are_there(self, tmp_path):
        report(tmp_path, samples()[:6])
        (tmp_path / 'masks/mine.txt').touch()
        (tmp_path / 'masks/my picture.png').touch()
        found = report(tmp_path, samples()[:2])
        names = sorted(file.name for file in (tmp_path / 'masks').iterdir())
        assert names == ['049_001.png', '049_002.png', 'mine.txt', 'my picture.png']
        assert any('holds 1 PNG files that this run did not' in text for text in found.warnings)

    def test_nothing_is_removed_from_a_folder_of_the_user(self, tmp_path):
        for chosen in (samples()[:4], samples()[:1]):
            found = report(tmp_path / 'results', chosen, output_dir=str(tmp_path / 'out'))
        assert len(list((tmp_path / 'out').iterdir())) == 4
        assert any('out holds 3 PNG files' in warning for warning in found.warnings)

    def test_the_old_summary_does_not_outlast_the_first_slice(self, tmp_path):
        report(tmp_path, samples()[:4])
        metric = HemorrhageMetric(report=True, results_dir=str(tmp_path))
        metric.process({}, [samples()[0].to_dict()])
        assert not (tmp_path / 'summary.json').exists()


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A run of mmengine with a checkpoint and a prepared tree."""
    folder = tmp_path_factory.mktemp('run')
    for split, patients in {'train': ('049', '090'), 'val': ('049', '050')}.items():
        (folder / f'data/images/{split}').mkdir(parents=True)
        for patient in patients:
            (folder / f'data/images/{split}/{patient}_001.png').touch()
    (folder / 'data/splits.json').write_text('{"protocol": "slice"}')
    row = dict.fromkeys(COLUMNS, '') | {'hemorrhage_pixels': 0}
    rows = [row | {'patient': '049', 'slice': 2, 'types': 'Epidural+Subdural'}]
    write_manifest(pd.DataFrame(rows), folder / 'data')
    made = {'version': '1.0', 'commit': 'abc', 'training_patients': ['050', '090']}
    torch.save({'state_dict': {}, 'meta': {'cranium': made}}, folder / 'best_dice.pth')

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
    metrics = runner.test()
    return metrics, folder, results.read_results(folder / 'work')


class TestRun:
    def test_files_are_in_the_work_directory(self, run):
        metrics, folder, found = run
        assert {name: found.figures[name].value for name in LOGGED} == metrics
        names = sorted(file.name for file in (folder / 'work/evaluation').iterdir())
        assert names == ['masks', 'patients.csv', 'slices.csv', 'summary.json']
        assert len(list((folder / 'work/evaluation/masks').iterdir())) == len(samples())

    def test_provenance(self, run):
        about = run[2].provenance
        assert about['protocol'] == 'slice'
        assert len(about['splits']['sha256']) == len(about['checkpoint']['sha256']) == 64
        assert about['chosen_on_test'] is True
        assert about['versions']['mmsegmentation'] and 'CraniumDataset' in about['config']

    def test_the_checkpoint_says_whom_it_was_trained_on(self, run):
        """Not the config of the test, which would say 049."""
        about = run[2].provenance
        assert about['trained_on'] == ['050']
        assert about['checkpoint']['commit'] == 'abc'

    def test_types_come_from_the_manifest_of_the_data_set(self, run):
        types = run[2].slices.set_index(['patient', 'slice']).types
        assert types['049', 2] == 'Epidural+Subdural' and types['049', 3] == 'unknown'

    def test_warnings(self, run):
        warnings = '\n'.join(run[2].warnings)
        for part in ('Split by slices', '(050)', 'chosen as the best on these very data'):
            assert part in warnings


@pytest.mark.parametrize('content', [{'state_dict': {}}, {'meta': {}}, [1]])
def test_a_checkpoint_that_does_not_name_its_patients(tmp_path, content):
    torch.save(content, tmp_path / 'a.pth')
    assert hemorrhage_metric._training(str(tmp_path / 'a.pth')) is None
    (tmp_path / 'b.pth').write_bytes(b'no checkpoint')
    assert hemorrhage_metric._training(str(tmp_path / 'b.pth')) is None
    assert hemorrhage_metric._training('nowhere.pth') is hemorrhage_metric._training(None) is None


def test_two_processes_give_the_figures_of_one(tmp_path):
    torch.save([sample.to_dict() for sample in samples()], tmp_path / 'samples.pth')
    torch.multiprocessing.spawn(two_processes.evaluate, (2, str(tmp_path), META), nprocs=2)
    evaluate(HemorrhageMetric(report=True, results_dir=f'{tmp_path}/one'))
    one, two = (results.read_results(tmp_path / name) for name in ('one', 'two'))
    assert len(two.slices) == 15
    assert repr(two.figures) == repr(one.figures)
    assert len(list((tmp_path / 'two/masks').iterdir())) == 15
