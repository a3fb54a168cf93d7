import pytest
import torch

from cranium.models import AdditiveUNet


def test_features_of_every_stage():
    features = AdditiveUNet(in_channels=3, base_channels=2)(torch.zeros(1, 3, 32, 48))
    assert [tuple(f.shape[1:]) for f in features] == [
        (16, 2, 3),
        (12, 4, 6),
        (8, 8, 12),
        (4, 16, 24),
        (2, 32, 48),
    ]


def test_every_weight_learns():
    net = AdditiveUNet(in_channels=2, base_channels=2)
    net(torch.rand(2, 2, 32, 32))[-1].sum().backward()
    assert all(p.grad.abs().max() > 0 for p in net.parameters())


def test_deep_features_reach_full_resolution():
    """What lies 40 pixels away changes a pixel, through the deepest stage alone."""
    torch.manual_seed(0)  # of few channels all may be negative, and ReLU lets none through
    net = AdditiveUNet(in_channels=1, base_channels=8).eval()
    image = torch.rand(1, 1, 96, 96, requires_grad=True)
    net(image)[-1][0, :, 48, 8].sum().backward()
    assert image.grad[0, 0, 48, 48].abs() > 0


def test_shift_by_the_coarsest_pixel_shifts_the_output():
    torch.manual_seed(0)
    net = AdditiveUNet(in_channels=1, base_channels=8).eval()
    image = torch.zeros(1, 1, 128, 128)
    image[..., 50:60, 50:60] = 1
    out = net(image)[-1]
    moved = net(image.roll(16, dims=3))[-1]
    assert out[..., 40:70, 40:70].std() > 0
    assert torch.allclose(out[..., 40:70, 40:70], moved[..., 40:70, 56:86], atol=1e-5)


def test_the_decoder_repeats_pixels_and_adds_the_encoders():
    net = AdditiveUNet(in_channels=1, base_channels=4).eval()
    inputs, skips, deep = [], [], []
    net.decoder[0].register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    net.encoder[0].register_forward_hook(lambda *args: skips.append(args[-1]))
    net.reduce[0].register_forward_hook(lambda *args: deep.append(args[-1]))
    net(torch.rand(1, 1, 32, 48))
    repeated = deep[0].repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    torch.testing.assert_close(inputs[0], repeated + skips[0])


@pytest.mark.parametrize('size', [(33, 48), (32, 40)])
def test_size_that_does_not_divide(size):
    with pytest.raises(ValueError, match=rf'{size[0]}, {size[1]}.*divisible by 16'):
        AdditiveUNet(in_channels=1)(torch.zeros(1, 1, *size))
