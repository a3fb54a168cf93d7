import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from cranium.errors import CraniumError
from cranium.head import head_to_slice_affine
from cranium.models.aligned_encoder_decoder import _hysteresis, _map_back


def build(**test_cfg):
    init_default_scope('mmseg')
    torch.manual_seed(0)
    norm = dict(type='BN')
    return MODELS.build(
        dict(
            type='AlignedEncoderDecoder',
            backbone=dict(type='AdditiveUNet', in_channels=2, base_channels=2),
            decode_head=dict(
                type='FCNHead',
                in_channels=2,
                channels=2,
                in_index=-1,
                num_convs=0,
                concat_input=False,
                dropout_ratio=0.0,
                num_classes=2,
                norm_cfg=norm,
            ),
            auxiliary_head=dict(type='SliceHead', in_channels=16),
            test_cfg=test_cfg,
        )
    ).eval()


@pytest.fixture
def model():
    return build(mode='whole', flip=True)


def sample(affine, shape=(40, 50)):
    metainfo = dict(head_to_slice_affine=affine, ori_shape=shape, img_shape=(32, 32))
    return SegDataSample(metainfo=metainfo)


def test_shift_maps_back_by_whole_pixels():
    """Pixel (row 2, column 1) of the aligned image is (row 7, column 4) of the slice."""
    logits = torch.zeros(2, 4, 4)
    logits[1] = -5
    logits[1, 2, 1] = 8
    found = _map_back(logits, sample(np.array([[1, 0, 3], [0, 1, 5], [0, 0, 1.0]]), (12, 10)))
    assert found.shape == (2, 12, 10)
    assert torch.argwhere(found.argmax(0)).tolist() == [[7, 4]]
    assert found[1, 7, 4] == pytest.approx(8, abs=1e-5)
    assert found[1, 6, 4] == pytest.approx(-5, abs=1e-5)
    assert found[1, 0, 9] == -20  # the aligned image does not reach it


def test_turned_and_mirrored_image_maps_back():
    """A logit is found where the affine says that its pixel comes from."""
    matrix = head_to_slice_affine((25, 20), 30, 2, (32, 32), np.diag([-1, 1, 1]))
    logits = torch.zeros(2, 32, 32)
    logits[1] = -5
    logits[1, 18:21, 12:15] = 9
    found = _map_back(logits, sample(matrix))
    x, y, _ = matrix @ [13, 19, 1]
    rows, columns = np.nonzero(found.argmax(0).numpy())
    assert (columns.mean(), rows.mean()) == pytest.approx((x, y), abs=0.5)


def test_hysteresis_by_hand():
    log_odds = torch.tensor(
        [
            [2.0, -1.0, -3.0, -1.0],
            [-3.0, -3.0, -1.0, -3.0],
            [-3.0, -3.0, -3.0, -3.0],
            [-1.0, 0.5, -3.0, -1.0],
        ]
    )
    # A region goes on over corners; below it nothing is above 1.
    assert _hysteresis(log_odds, -2, 1).tolist() == [
        [1, 1, 0, 1],
        [0, 0, 1, 0],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
    ]
    assert torch.equal(_hysteresis(log_odds, 0, 0), (log_odds > 0).long())
    assert not _hysteresis(log_odds, -2, 3).any()


def test_thresholds_decide_the_labels(model):
    inputs = torch.rand(1, 2, 32, 32)
    (plain,) = model.predict(inputs)
    log_odds = plain.seg_logits.data[1] - plain.seg_logits.data[0]
    assert torch.equal(plain.pred_sem_seg.data, plain.seg_logits.data.argmax(0, keepdim=True))
    low, high = log_odds.quantile(0.2).item(), log_odds.max().item()
    for thresholds, expected in (((low, high - 1e-4), True), ((low, high + 1e-4), False)):
        model.test_cfg['thresholds'] = thresholds
        (found,) = model.predict(inputs)
        assert torch.equal(found.seg_logits.data, plain.seg_logits.data)
        assert bool(found.pred_sem_seg.data.any()) is expected


def test_without_an_affine_logits_stay():
    logits = torch.rand(2, 4, 4)
    assert _map_back(logits, SegDataSample()) is logits


def test_prediction_is_on_the_grid_of_the_slice(model):
    matrix = head_to_slice_affine((25, 20), 0, 1, (32, 32))
    (found,) = model.predict(torch.rand(1, 2, 32, 32), [sample(matrix)])
    assert found.pred_sem_seg.data.shape == (1, 40, 50)
    assert found.seg_logits.data.shape == (2, 40, 50)
    assert isinstance(found.slice_score, float)


def test_flip_is_the_mean_with_the_mirror_image(model):
    """So the mirror image gets the mirrored prediction, and the same score."""
    image = torch.rand(1, 2, 32, 32)
    (one,), (other,) = (model.predict(x, [SegDataSample()]) for x in (image, image.flip(3)))
    assert torch.allclose(one.seg_logits.data, other.seg_logits.data.flip(2), atol=1e-6)
    assert one.slice_score == pytest.approx(other.slice_score)
    model.test_cfg['flip'] = False
    (plain,) = model.predict(image, [SegDataSample()])
    assert not torch.allclose(plain.seg_logits.data, one.seg_logits.data, atol=1e-6)


def test_slice_score_is_the_mean_of_the_slices_and_the_highest_pixels_log_odds(model):
    logits = torch.zeros(1, 2, 4, 4)
    logits[0, :, 1, 2] = torch.tensor([-1.0, 4.0])
    model.test_cfg['flip'] = False
    model.decode_head.forward = lambda features: logits
    model.auxiliary_head.forward = lambda features: torch.tensor([-2.0])
    (found,) = model.predict(torch.rand(1, 2, 16, 16), [SegDataSample()])
    # Resampling from 4x4 to 16x16 keeps most of a peak: 7/8 of it along each axis.
    assert found.slice_score == pytest.approx((-2 + 5 * (7 / 8) ** 2) / 2)


@pytest.mark.parametrize(
    'test_cfg, message',
    [
        (dict(mode='slide', crop_size=(8, 8), stride=(4, 4)), "mode is 'slide'.*mode='whole'"),
        (dict(mode='whole', thresholds=(1.0, -2.0)), r'thresholds is \(1.0, -2.0\); .*lower'),
    ],
)
def test_settings_that_cannot_work(test_cfg, message):
    with pytest.raises(CraniumError, match=message):
        build(**test_cfg)


def test_without_slice_head_there_is_no_score(model):
    model.auxiliary_head = None
    (found,) = model.predict(torch.rand(1, 2, 32, 32), [SegDataSample()])
    assert 'slice_score' not in found.metainfo
