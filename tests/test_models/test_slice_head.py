import math

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from cranium.models import SliceHead


def sample(*labels):
    return SegDataSample(gt_sem_seg=PixelData(data=torch.tensor([[labels]])))


@pytest.fixture
def head():
    """Log-odds of mean plus twice the maximum of the one channel."""
    head = SliceHead(in_channels=1, in_index=1, loss_weight=0.5)
    head.linear.weight.data = torch.tensor([[1.0, 2.0]])
    head.linear.bias.data.zero_()
    return head


FEATURES = (None, torch.tensor([[[[0.0, 0.0, 3.0]]], [[[-1.0, -1.0, -1.0]]]]))


def test_logits_by_hand(head):
    assert head(FEATURES).tolist() == [1 + 6, -1 - 2]


def test_loss_by_hand(head):
    """The first slice holds hemorrhage, the second only background and ignored pixels."""
    loss = head.loss(FEATURES, [sample(0, 1), sample(0, 255)], {})['loss_slice']
    expected = (math.log1p(math.exp(-7)) + math.log1p(math.exp(-3))) / 2
    assert loss.item() == pytest.approx(0.5 * expected)
