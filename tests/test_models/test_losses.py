"""The Dice loss: by hand, against MONAI's, and where mmseg's own goes wrong."""

import doctest

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from monai.losses import DiceLoss

from cranium.models import BatchDiceLoss, SliceDiceLoss, losses

SHAPE = (3, 5, 4)
TARGET = torch.from_numpy(np.random.default_rng(0).integers(0, 2, SHAPE))


def logits_of(probability) -> torch.Tensor:
    """Two logits, the softmax of which gives class 1 the probability."""
    probability = torch.as_tensor(probability, dtype=torch.float64)
    return torch.stack([torch.log1p(-probability), probability.log()], dim=1)


def certain(labels: torch.Tensor) -> torch.Tensor:
    """Logits that are certain of the labels."""
    return 40.0 * torch.stack([labels == 0, labels == 1], dim=1)


@pytest.mark.parametrize(
    'options, expected',
    [
        # p is 0.5 and 0.25 where it is true, 0.75 and 0 where not: TP 0.75, FP 0.75, FN 1.25.
        (dict(), 1 - (1.5 + 2) / (1.5 + 0.75 + 1.25 + 2)),
        (dict(smooth=1e-9), 1 - 1.5 / 3.5),
        (dict(loss_weight=3), 3 * (2 / 5.5)),
    ],
)
def test_by_hand(options, expected):
    target = torch.tensor([[[1, 1], [0, 0]]])
    value = BatchDiceLoss(**options)(logits_of([[[0.5, 0.25], [0.75, 1e-300]]]), target)
    assert value.item() == pytest.approx(expected, abs=1e-9)


@given(
    logits=arrays(np.float64, (3, 2, 5, 4), elements=st.floats(-8, 8)),
    target=arrays(np.int64, SHAPE, elements=st.sampled_from([0, 1, 255])),
    weight=arrays(np.float64, SHAPE, elements=st.sampled_from([0.0, 0.5, 1.0, 2.0])),
    smooth=st.floats(0.1, 5),
)
def test_same_as_numpy(logits, target, weight, smooth):
    """The definition, pixel by pixel."""
    hit = false_positive = false_negative = 0.0
    for n, i, j in np.argwhere(target != 255):
        p, w = 1 / (1 + np.exp(logits[n, 0, i, j] - logits[n, 1, i, j])), weight[n, i, j]
        hit += w * p * (target[n, i, j] == 1)
        false_positive += w * p * (target[n, i, j] == 0)
        false_negative += w * (1 - p) * (target[n, i, j] == 1)
    errors = false_positive + false_negative
    value = BatchDiceLoss(smooth)(*map(torch.from_numpy, (logits, target, weight)))
    assert value.item() == pytest.approx(errors / (2 * hit + errors + 2 * smooth), abs=1e-9)


@given(
    logits=arrays(np.float32, (3, 2, 5, 4), elements=st.floats(-8, 8, width=32)),
    target=arrays(np.int64, SHAPE, elements=st.integers(0, 1)),
    smooth=st.floats(0.1, 5),
)
def test_same_as_monai(logits, target, smooth):
    """Of which the smooth term is counted once; it knows no pixels to ignore."""
    options = dict(include_background=False, softmax=True, to_onehot_y=True, batch=True)
    theirs = DiceLoss(**options, smooth_nr=2 * smooth, smooth_dr=2 * smooth)
    logits, target = torch.from_numpy(logits), torch.from_numpy(target)
    expected = theirs(logits, target[:, None]).item()
    assert BatchDiceLoss(smooth)(logits, target).item() == pytest.approx(expected, abs=1e-6)


@given(
    logits=arrays(np.float32, (3, 2, 5, 4), elements=st.floats(-8, 8, width=32)),
    target=arrays(np.int64, SHAPE, elements=st.integers(0, 1)),
    smooth=st.floats(0.1, 5),
)
def test_per_slice_same_as_monai(logits, target, smooth):
    """Of the slices with hemorrhage alone."""
    target[0, 0, 0] = 1
    options = dict(include_background=False, softmax=True, to_onehot_y=True)
    theirs = DiceLoss(**options, smooth_nr=2 * smooth, smooth_dr=2 * smooth)
    logits, target = torch.from_numpy(logits), torch.from_numpy(target)
    shown = target.amax((1, 2)) == 1
    expected = theirs(logits[shown], target[shown][:, None]).item()
    assert SliceDiceLoss(smooth)(logits, target).item() == pytest.approx(expected, abs=1e-6)


def test_per_slice_a_small_bleed_counts_as_much_as_a_large_one():
    target = torch.zeros(3, 10, 10, dtype=torch.long)
    target[0, :9], target[1, 0, 0] = 1, 1
    missed = target.clone()
    missed[1] = 0
    missed[2, 5, 5] = 1  # no part of it, as the slice shows no hemorrhage
    assert SliceDiceLoss(1e-6)(certain(missed), target).item() == pytest.approx(0.5, abs=1e-5)
    # TP 90, FP 1 and FN 1 in all.
    assert BatchDiceLoss(1e-6)(certain(missed), target).item() == pytest.approx(1 / 91, abs=1e-5)


def test_per_slice_without_hemorrhage_is_0():
    logits = torch.randn(2, 2, 4, 4, requires_grad=True)
    value = SliceDiceLoss()(logits, torch.zeros(2, 4, 4, dtype=torch.long))
    value.backward()
    assert value == 0 and (logits.grad == 0).all()


def test_right_is_0_and_wrong_is_1():
    assert BatchDiceLoss()(certain(TARGET), TARGET).item() == pytest.approx(0, abs=1e-6)
    wrong = BatchDiceLoss(smooth=1e-6)(certain(1 - TARGET), TARGET)
    assert wrong.item() == pytest.approx(1, abs=1e-6)


def test_ignored_pixels_do_not_count():
    loss = BatchDiceLoss()
    logits = torch.randn(3, 2, 5, 4, generator=torch.Generator().manual_seed(0))
    target, ignored = TARGET.clone(), torch.zeros(SHAPE, dtype=torch.bool)
    ignored[0], ignored[1, 2] = True, True
    target[ignored] = 255
    changed = torch.where(ignored[:, None], 5 - logits, logits)
    assert loss(changed, target) == loss(logits, target)
    assert loss(logits, TARGET) != loss(logits, target)
    logits.requires_grad_()
    loss(logits, target).backward()
    gradient = logits.grad.abs().sum(1)
    assert (gradient[ignored] == 0).all() and (gradient[~ignored] > 0).all()
    other = torch.where(ignored, 7, TARGET)
    assert loss(logits, other, ignore_index=7) == loss(logits, target)


def test_gradient():
    logits = torch.randn(3, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    target = TARGET.clone()
    target[0, 0] = 255
    assert torch.autograd.gradcheck(lambda x: BatchDiceLoss()(x, target), logits)


def test_nothing_that_counts():
    logits = torch.randn(1, 2, 4, 4, requires_grad=True)
    value = BatchDiceLoss()(logits, torch.full((1, 4, 4), 255))
    value.backward()
    assert value == 0 and (logits.grad == 0).all()


def test_batch_without_hemorrhage():
    target = torch.zeros(1, 2, 2, dtype=torch.long)
    assert BatchDiceLoss()(certain(target), target).item() == pytest.approx(0, abs=1e-6)
    # Four pixels falsely predicted: by the smooth term not 1.
    value = BatchDiceLoss()(certain(1 - target), target).item()
    assert value == pytest.approx(4 / (4 + 2), abs=1e-6)


def test_one_sigmoid_output():
    logit = torch.randn(3, 1, 5, 4)
    two = torch.cat([torch.zeros_like(logit), logit], dim=1)
    assert BatchDiceLoss()(logit, TARGET) == BatchDiceLoss()(two, TARGET)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision(dtype):
    """A hundred thousand pixels: half precision cannot count them."""
    target = torch.zeros(1, 320, 320, dtype=torch.long)
    target[:, :40] = 1
    logits = (2.0 * certain(target) / 40).to(dtype).requires_grad_()
    loss = BatchDiceLoss()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        value = loss(logits, target)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(loss(logits.double(), target).item(), rel=1e-4)
    value.backward()
    assert logits.grad.dtype == dtype and logits.grad.isfinite().all()


def test_dice_of_mmseg_rewards_missing_all_of_a_thin_class():
    target = torch.zeros(1, 100, 100, dtype=torch.long)
    target[0, 0, :10] = 1  # one pixel in a thousand
    nothing = certain(torch.zeros_like(target))
    theirs = MODELS.build(dict(type='DiceLoss', use_sigmoid=False))
    assert theirs(nothing, target).item() == pytest.approx(0.001, abs=1e-5)
    assert BatchDiceLoss()(nothing, target).item() > 0.8


def test_dice_of_mmseg_counts_ignored_pixels_as_wrong():
    target = torch.zeros(1, 10, 10, dtype=torch.long)
    target[0, 5:] = 255
    target[0, 0] = 1
    right = certain(torch.where(target == 255, 0, target))
    theirs = MODELS.build(dict(type='DiceLoss', use_sigmoid=False, ignore_index=255))
    assert theirs(right, target).item() > 0.3
    assert BatchDiceLoss()(right, target, ignore_index=255).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize('outputs', [2, 1])
def test_cross_entropy_and_dice_train_a_head(outputs):
    torch.manual_seed(0)
    head = MODELS.build(
        ConfigDict(
            type='FCNHead',
            in_channels=4,
            channels=4,
            num_convs=1,
            num_classes=2,
            out_channels=outputs,
            threshold=0.5,
            dropout_ratio=0.0,
            norm_cfg=dict(type='BN'),
            loss_decode=[
                dict(type='CrossEntropyLoss', loss_name='loss_ce', use_sigmoid=outputs == 1),
                dict(type='BatchDiceLoss', loss_name='loss_dice'),
            ],
        )
    )
    label = torch.zeros(1, 16, 16, dtype=torch.long)
    label[0, 4:8, 4:8] = 1
    features = torch.randn(2, 4, 16, 16) + 2.0 * label[None]
    samples = [SegDataSample(gt_sem_seg=PixelData(data=label)) for _ in features]
    optimizer = torch.optim.Adam(head.parameters(), lr=0.02)
    dice = []
    for _ in range(60):
        values = head.loss([features], samples, ConfigDict())
        assert {'loss_ce', 'loss_dice', 'acc_seg'} <= values.keys()
        dice.append(values['loss_dice'].item())
        optimizer.zero_grad()
        (values['loss_ce'] + values['loss_dice']).backward()
        optimizer.step()
    assert dice[0] > 0.7 and dice[-1] < 0.2


def test_example():
    assert doctest.testmod(losses, raise_on_error=True).attempted == 4
