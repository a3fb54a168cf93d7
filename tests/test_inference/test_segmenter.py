import copy

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.registry import DATASETS, MODELS

from cranium.errors import CraniumError
from cranium.inference.aligned import AlignedScan
from cranium.inference.network import FILES, PRETRAINED
from cranium.scans.scan import Scan
from tests.test_head import hu_head


def largest(differences):
    return np.abs(differences).max()


def mmseg_predictions(tree, patient, alone=False):
    """What mmseg's own test pipeline and the segmentor say of each slice of a patient."""
    cfg = Config.fromfile(FILES / f'configs/{PRETRAINED}.py')
    weights = torch.load(FILES / f'checkpoints/{PRETRAINED}.pth', weights_only=True)
    dataset = cfg.test_dataloader.dataset
    dataset.update(data_root=str(tree), lazy_init=False)
    (load,) = (step for step in dataset.pipeline if step.type == 'LoadScan')
    load.alone = alone
    found = {}
    with DefaultScope.overwrite_default_scope('mmseg'), torch.inference_mode():
        model = MODELS.build(cfg.model).eval()
        model.load_state_dict(weights['state_dict'])
        for split in ('train', 'val'):
            part = copy.deepcopy(dataset)
            part.data_prefix = dict(img_path=f'images/{split}', seg_map_path=f'masks/{split}')
            loaded = DATASETS.build(part)
            for index in range(len(loaded)):
                if loaded.get_data_info(index)['patient'] == patient:
                    item = loaded[index]
                    batch = dict(inputs=[item['inputs']], data_samples=[item['data_samples']])
                    (found[item['data_samples'].img_path],) = model.test_step(batch)
    return [found[path] for path in sorted(found)]


def test_same_as_mmsegs_own_pipeline_on_real_slices(segmenter, sample_tree, read_patient):
    hu, _ = read_patient('052')
    expected = mmseg_predictions(sample_tree, '052')
    found = segmenter.segment(hu)
    assert found.masks.any()
    for index, sample in enumerate(expected):
        logits = sample.seg_logits.data.numpy()
        assert largest(found.log_odds[index] - (logits[1] - logits[0])) < 1e-3
        assert np.array_equal(found.masks[index], sample.pred_sem_seg.data[0].numpy())
    raw = np.array([sample.slice_score for sample in expected])
    weights = np.exp(-(np.subtract.outer(range(6), range(6)) ** 2) / 2)
    smoothed = weights @ raw / weights.sum(axis=1)
    assert [each.score for each in found.slices] == pytest.approx(smoothed, abs=1e-4)
    assert found.score == pytest.approx(smoothed.max(), abs=1e-4)


def test_a_lone_slice_is_what_a_test_of_slices_alone_sees(segmenter, sample_tree, read_patient):
    hu, _ = read_patient('052')
    found = segmenter.segment([hu[:1], hu[3:4]])
    expected = mmseg_predictions(sample_tree, '052', alone=True)
    in_scan = segmenter.segment(hu).slices
    for number, each in zip((0, 3), found):
        assert each.score == pytest.approx(expected[number].slice_score, abs=1e-4)
        assert each.score != pytest.approx(in_scan[number].score, abs=1e-2)
        assert np.array_equal(each.masks[0], expected[number].pred_sem_seg.data[0].numpy())


def test_same_for_any_batch_size_and_company(segmenter, read_patient, monkeypatch):
    hu, _ = read_patient('112')
    together = segmenter.segment(hu)
    other = read_patient('122')[0]
    for size in (1, 2):
        monkeypatch.setattr(segmenter, 'batch_size', size)
        found = segmenter.segment([hu, other])[0]
        assert largest(found.log_odds - together.log_odds) < 1e-5
        assert np.array_equal(found.masks, together.masks)
        assert found.score == pytest.approx(together.score, abs=1e-5)
    monkeypatch.setattr(segmenter, 'batch_size', 100)
    alone = [segmenter.segment(slice) for slice in hu]
    for one, same in zip(alone, segmenter.segment(list(hu))):
        assert largest(one.log_odds - same.log_odds) < 1e-5
        assert one.mask.shape == hu.shape[1:]


@pytest.mark.parametrize('side, factor', [(383, 1), (384, 2)])
def test_small_slices_are_not_shrunk(segmenter, side, factor):
    """384 pixels, shrunk by 2, are as many as the 192 rows of the network's image."""
    hu = cv2.resize(hu_head(), (side, side), interpolation=cv2.INTER_AREA)
    aligned = AlignedScan.of(Scan(hu[None], 'a', 'a'), segmenter.network)
    assert [each.factor for each in aligned.slices] == [factor]
    # The head's centre is the middle of the network's image, however it was found.
    middle = aligned.affines[0] @ [79.5, 95.5, 1]
    assert middle[:2] == pytest.approx(aligned.slices[0].center)
    shrunk = aligned.to_shrunk[0] @ [79.5, 95.5, 1]
    assert factor * shrunk[:2] + (factor - 1) / 2 == pytest.approx(middle[:2])


def test_no_head(segmenter):
    with pytest.raises(CraniumError, match='array: no head is seen'):
        segmenter.segment(np.full((3, 100, 100), -1000, np.int16))


def test_progress_tells_every_slice_once(segmenter):
    hu = np.stack([hu_head()] * 5)
    done = []
    segmenter.segment(hu, spacing=(1.0, 0.72, 0.72), progress=done.append)
    assert sum(done) == 5


def dice(one, other):
    return 2 * np.count_nonzero(one & other) / (one.sum() + other.sum())


def test_thin_slices_give_the_masks_of_thick_ones(segmenter, read_patient):
    """Each slice of 5 mm as five of 1 mm: the middle ones are slabs of the same HU."""
    hu, _ = read_patient('071')
    thick = segmenter.segment(hu, spacing=(5, 0.36, 0.36))
    thin = segmenter.segment(np.repeat(hu, 5, axis=0), spacing=(1, 0.36, 0.36))
    assert dice(thin.masks[2::5], thick.masks) > 0.97
    assert thin.volume_ml == pytest.approx(thick.volume_ml, rel=0.1)
    assert thin.score == pytest.approx(thick.score, abs=0.5)


def test_oblong_pixels_give_the_masks_of_square_ones(segmenter, read_patient):
    hu, _ = read_patient('071')
    square = segmenter.segment(hu, spacing=(5, 0.36, 0.36))
    halved = (hu[:, ::2].astype(int) + hu[:, 1::2]) // 2
    oblong = segmenter.segment(halved, spacing=(5, 0.72, 0.36))
    assert oblong.masks.shape == halved.shape
    assert dice(oblong.masks, square.masks[:, ::2]) > 0.93
    assert oblong.volume_ml == pytest.approx(square.volume_ml, rel=0.1)


def test_log_odds_and_probability_fit_the_masks(segmenter, read_patient):
    hu, _ = read_patient('112')
    found = segmenter.segment(hu)
    low, high = segmenter.network.thresholds
    assert largest(found.probability - 1 / (1 + np.exp(-found.log_odds))) < 1e-6
    assert (found.log_odds[found.masks == 1] > low).all()
    assert (found.masks[found.log_odds > high] == 1).all()


def test_inputs_of_several_kinds(segmenter, read_patient):
    hu, files = read_patient('122')
    both = segmenter.segment([files[0], hu])
    assert [len(each.masks) for each in both] == [1, len(hu)]
    assert isinstance(segmenter.segment(str(files[0])).masks, np.ndarray)
    with pytest.raises(CraniumError, match='leave spacing out'):
        segmenter.segment(files[0], spacing=(5, 0.4, 0.4))
    with pytest.raises((CraniumError, OSError), match=r'none\.png'):
        segmenter.segment('none.png')
