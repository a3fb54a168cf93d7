"""Whether a slice holds hemorrhage at all."""

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn


@MODELS.register_module()
class SliceHead(BaseModule):
    """Hemorrhage in a slice, yes or no, from features of the whole of it; an ``auxiliary_head``.

    Args:
        in_channels (int): Channels of the features.
        in_index (int): Which of the backbone's features. Defaults to 0.
        loss_weight (float): Weight of its cross-entropy. Defaults to 0.2.
    """

    align_corners = False  # mmseg asks every head

    def __init__(self, in_channels: int, in_index: int = 0, loss_weight: float = 0.2) -> None:
        super().__init__()
        self.in_index = in_index
        self.loss_weight = loss_weight
        self.linear = nn.Linear(2 * in_channels, 1)

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Compute log-odds of hemorrhage, (N,), from the backbone's features, (N, C, H, W)."""
        features = inputs[self.in_index]
        pooled = torch.cat([features.mean((2, 3)), features.amax((2, 3))], dim=1)
        log_odds: Tensor = self.linear(pooled)[:, 0]
        return log_odds

    def loss(
        self,
        inputs: tuple[Tensor, ...],
        batch_data_samples: list[SegDataSample],
        train_cfg: dict[str, Any],
    ) -> dict[str, Tensor]:
        """Compute ``loss_slice``; the truth is whether ``gt_sem_seg`` holds hemorrhage."""
        logits = self(inputs)
        truth = torch.stack([(s.gt_sem_seg.data == 1).any() for s in batch_data_samples])
        loss = F.binary_cross_entropy_with_logits(logits.float(), truth.to(logits.device).float())
        return {'loss_slice': self.loss_weight * loss}
