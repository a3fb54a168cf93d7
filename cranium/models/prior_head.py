"""A decode head that expects what is rare to be rare."""

import math

import torch
from mmseg.models.decode_heads import FCNHead
from mmseg.registry import MODELS
from torch import nn


@MODELS.register_module()
class PriorFCNHead(FCNHead):
    """mmseg's FCNHead for two classes, which begins by calling every pixel background.

    mmseg starts with all classes alike and with tiny weights. Where one pixel in a thousand is
    hemorrhage, the features are then first of all taught to say *background*; what is left to say
    *hemorrhage* is their absence, and no probability rises above 0.54. A bias towards background,
    as RetinaNet's (Lin et al., ICCV 2017, doi:10.1109/ICCV.2017.324), leaves the features free.

    Args:
        prior (float): Probability of hemorrhage in every pixel at first. Defaults to 0.02.
        std (float): Standard deviation of the last layer's weights. Defaults to 0.1.
        **kwargs: As ``FCNHead``.
    """

    def __init__(self, prior: float = 0.02, std: float = 0.1, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.prior = prior
        self.std = std

    def init_weights(self) -> None:
        """Initialise as ``FCNHead``, then weights and bias of the last layer."""
        super().init_weights()
        nn.init.normal_(self.conv_seg.weight, std=self.std)
        log_odds = math.log(self.prior / (1 - self.prior))
        with torch.no_grad():
            self.conv_seg.bias.copy_(torch.tensor([0.0, log_odds]))
