"""The losses on overlap: by hand, against NumPy, and where mmseg's own go wrong."""

import doctest

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from cranium.models import BatchDiceLoss, FocalTverskyLoss, losses

SHAPE = (3, 5, 4)


def logits_of(probability) -> torch.Tensor:
    """Two logits, the softmax of which gives class 1 the probability."""
    probability = torch.as_tensor(probability, dtype=torch.float64)
    return torch.stack([torch.log1p(-probability), probability.log()], dim=1)


def certain(labels: torch.Tensor) -> torch.Tensor:
    """Logits of the labels, sure of each."""
    return 40.0 * torch.stack([labels == 0, labels == 1], dim=1)


def numpy_loss(logits, target, weight, alpha, beta, gamma, smooth, classes) -> float:
    """The definition, pixel by pixel."""
    total = 0.0
    for label in classes:
        hit = false_positive = false_negative = 0.0
        for n, i, j in np.ndindex(target.shape):
            if target[n, i, j] == 255:
                continue
            exponentials = np.exp(logits[n, :, i, j] - logits[n, :, i, j].max())
            p, w = exponentials[label] / exponentials.sum(), weight[n, i, j]
            hit += w * p * (target[n, i, j] == label)
            false_positive += w * p * (target[n, i, j] != label)
            false_negative += w * (1 - p) * (target[n, i, j] == label)
        # 1 minus the index, without the difference of two numbers near 1: a root makes much of it.
        wrong = alpha * false_positive + beta * false_negative
        total += (wrong / (hit + wrong + smooth)) ** (1 / gamma)
    return total / len(classes)


@pytest.mark.parametrize(
    'loss, expected',
    [
        # p is 0.5 and 0.25 where it is true, 0.75 and 0 where not: TP 0.75, FP 0.75, FN 1.25.
        (BatchDiceLoss(), 1 - (1.5 + 2) / (1.5 + 0.75 + 1.25 + 2)),
        (BatchDiceLoss(smooth=1e-9), 1 - 1.5 / 3.5),
        (BatchDiceLoss(loss_weight=3), 3 * (2 / 5.5)),
        (FocalTverskyLoss(0.3, 0.7, 1), (0.225 + 0.875) / (0.75 + 0.225 + 0.875 + 1)),
        (FocalTverskyLoss(0.3, 0.7), (1.1 / 2.85) ** 0.75),
        # Of background: TP 0.25 + 1, FP 1.25, FN 0.75.
        (BatchDiceLoss(classes=(0,)), 1 - (2.5 + 2) / (2.5 + 1.25 + 0.75 + 2)),
        (BatchDiceLoss(classes=(0, 1)), ((1 - 4.5 / 6.5) + 2 / 5.5) / 2),
    ],
)
def test_by_hand(loss, expected):
    target = torch.tensor([[[1, 1], [0, 0]]])
    value = loss(logits_of([[[0.5, 0.25], [0.75, 1e-300]]]), target)
    assert value.item() == pytest.approx(expected, abs=1e-9)


@given(
    logits=arrays(np.float64, (3, 3, 5, 4), elements=st.floats(-8, 8)),
    target=arrays(np.int64, SHAPE, elements=st.sampled_from([0, 1, 2, 255])),
    weight=arrays(np.float64, SHAPE, elements=st.sampled_from([0.0, 0.5, 1.0, 2.0])),
    alpha=st.floats(0, 2),
    beta=st.floats(0, 2),
    gamma=st.floats(0.5, 3),
    smooth=st.floats(0.1, 5),
    classes=st.sampled_from([(1,), (0, 1), (2, 0), (0, 1, 2)]),
)
@example(  # of one class a distance of 6e-17, the root of which is 8e-9
    logits=np.zeros((3, 3, 5, 4)),
    target=np.zeros(SHAPE, np.int64),
    weight=np.pad([[[0.5]]], [(0, 2), (0, 4), (0, 3)]),
    alpha=1.0,
    beta=2.0**-52,
    gamma=2.0,
    smooth=1.0,
    classes=(0, 1),
)
def test_same_as_numpy(logits, target, weight, alpha, beta, gamma, smooth, classes):
    arguments = (alpha, beta, gamma, smooth, classes)
    value = FocalTverskyLoss(*arguments)(*map(torch.from_numpy, (logits, target, weight)))
    # A root makes much of the last digits near 0.
    expected = numpy_loss(logits, target, weight, *arguments)
    assert value.item() ** gamma == pytest.approx(expected**gamma, abs=1e-9)


@pytest.mark.parametrize('loss', [BatchDiceLoss(), FocalTverskyLoss()], ids=repr)
class TestBoth:
    """What holds for every loss of this kind."""

    target = torch.from_numpy(np.random.default_rng(0).integers(0, 2, SHAPE))

    def test_right_is_0_and_wrong_is_1(self, loss):
        assert loss(certain(self.target), self.target).item() == pytest.approx(0, abs=1e-6)
        wrong = loss(certain(1 - self.target), self.target).item()
        assert 0.9 < wrong <= 1  # the smooth term is a pixel of the 60
        loss = type(loss)(smooth=1e-6)
        assert loss(certain(1 - self.target), self.target).item() == pytest.approx(1, abs=1e-6)

    def test_ignored_pixels_do_not_count(self, loss):
        logits = torch.randn(3, 2, 5, 4, generator=torch.Generator().manual_seed(0))
        target, ignored = self.target.clone(), torch.zeros(SHAPE, dtype=torch.bool)
        ignored[0], ignored[1, 2] = True, True
        target[ignored] = 255
        changed = torch.where(ignored[:, None], 5 - logits, logits)
        assert loss(changed, target) == loss(logits, target)
        assert loss(logits, self.target) != loss(logits, target)
        logits.requires_grad_()
        loss(logits, target).backward()
        gradient = logits.grad.abs().sum(1)
        assert (gradient[ignored] == 0).all() and (gradient[~ignored] > 0).all()
        # Another number, and none.
        other = torch.where(ignored, 7, self.target)
        assert loss(logits, other, ignore_index=7) == loss(logits, target)
        assert loss(logits, target, ignore_index=None) != loss(logits, target)

    def test_gradient(self, loss):
        logits = torch.randn(3, 2, 5, 4, dtype=torch.float64, requires_grad=True)
        target = self.target.clone()
        target[0, 0] = 255
        assert torch.autograd.gradcheck(lambda x: loss(x, target), logits)

    def test_order_of_the_batch_is_nothing(self, loss):
        logits, order = torch.randn(3, 2, 5, 4), torch.tensor([2, 0, 1])
        value = loss(logits[order], self.target[order])
        assert value.item() == pytest.approx(loss(logits, self.target).item(), rel=1e-6)

    def test_nothing_that_counts(self, loss):
        logits = torch.randn(1, 2, 4, 4, requires_grad=True)
        value = loss(logits, torch.full((1, 4, 4), 255))
        value.backward()
        assert value == 0 and (logits.grad == 0).all()

    def test_batch_without_hemorrhage(self, loss):
        target = torch.zeros(1, 2, 2, dtype=torch.long)
        assert loss(certain(target), target).item() == pytest.approx(0, abs=1e-6)
        # Four pixels falsely predicted: by the smooth term not 1.
        distance = 4 * loss.alpha / (4 * loss.alpha + 1)
        value = loss(certain(1 - target), target).item()
        assert value == pytest.approx(distance ** (1 / loss.gamma), abs=1e-6)

    def test_one_sigmoid_output(self, loss):
        logit = torch.randn(3, 1, 5, 4)
        two = torch.cat([torch.zeros_like(logit), logit], dim=1)
        assert loss(logit, self.target) == loss(two, self.target)

    @pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
    def test_half_precision(self, loss, dtype):
        """A hundred thousand pixels: half precision cannot count them."""
        target = torch.zeros(1, 320, 320, dtype=torch.long)
        target[:, :40] = 1
        logits = (2.0 * certain(target) / 40).to(dtype).requires_grad_()
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


def test_tversky_of_mmseg_says_little_of_a_batch_with_an_empty_image():
    target = torch.zeros(8, 10, 10, dtype=torch.long)
    target[0, 0] = 1
    nothing = certain(torch.zeros_like(target))
    # One image in eight has the class, which is half of the mean.
    theirs = MODELS.build(dict(type='TverskyLoss'))
    assert theirs(nothing, target).item() < 0.1
    assert FocalTverskyLoss()(nothing, target).item() > 0.8


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(alpha=-1), 'alpha=-1.*expected alpha and beta from 0'),
        (dict(gamma=0), 'gamma=0.*above 0'),
        (dict(smooth=0), 'smooth=0.*above 0'),
        (dict(classes=()), 'expected labels'),
        (dict(classes=(-1,)), 'expected labels'),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        FocalTverskyLoss(**arguments)


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(avg_factor=3), 'avg_factor=3'),
        (dict(reduction_override='none'), "reduction_override='none'"),
        (dict(target=torch.zeros(1, 2, 3, 3)), r'target \(1, 2, 3, 3\); expected'),
        (dict(pred=torch.zeros(1, 2, 9)), r'pred has the shape \(1, 2, 9\)'),
    ],
)
def test_calls_that_make_no_sense(arguments, message):
    call = dict(pred=torch.zeros(1, 2, 3, 3), target=torch.zeros(1, 3, 3)) | arguments
    with pytest.raises(ValueError, match=message):
        BatchDiceLoss()(**call)


def test_class_without_logits():
    with pytest.raises(ValueError, match=r'classes=\(2,\): the logits are of 2 classes'):
        BatchDiceLoss(classes=(2,))(torch.zeros(1, 2, 3, 3), torch.zeros(1, 3, 3))


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


def test_examples():
    assert doctest.testmod(losses, raise_on_error=True).attempted >= 4
