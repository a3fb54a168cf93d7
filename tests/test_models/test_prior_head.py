import pytest
import torch

from cranium.models import PriorFCNHead


def make(**options):
    head = PriorFCNHead(
        in_channels=16, channels=16, num_convs=0, concat_input=False, num_classes=2, **options
    )
    head.init_weights()
    return head.eval()


def test_without_features_the_probability_is_the_prior():
    logits = make(prior=0.1)((torch.zeros(1, 16, 2, 3),))
    assert logits.softmax(1)[0, 1].flatten().tolist() == pytest.approx([0.1] * 6)


def test_weights_are_as_wide_as_told():
    torch.manual_seed(0)
    weights = torch.cat([make(std=0.3).conv_seg.weight.flatten() for _ in range(50)])
    assert weights.std().item() == pytest.approx(0.3, rel=0.05)
