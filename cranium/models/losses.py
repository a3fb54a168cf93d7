"""The overlap of hemorrhage, pooled over the batch."""

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class BatchDiceLoss(nn.Module):
    """1 minus the soft Dice of hemorrhage, (2 TP + 2 smooth) / (2 TP + FP + FN + 2 smooth).

    TP, FP and FN are sums over all pixels of the batch (of one process), so that a slice without
    hemorrhage, where Dice says nothing, only adds its false positives. mmseg's ``DiceLoss``
    flattens classes together with pixels, so that background dominates: where one pixel in a
    thousand is hemorrhage, missing all of it costs 0.001; and its ``ignore_index`` drops a channel.
    Dice as a loss is from Milletari et al., 3DV 2016, doi:10.1109/3DV.2016.79; here, as in MONAI's
    ``DiceLoss(batch=True)``, probabilities are not squared.

    Args:
        smooth (float): Pixels; a batch without hemorrhage gives FP / (FP + 2 ``smooth``). Defaults
            to 1.0.
        loss_weight (float): Factor of the loss. Defaults to 1.0.
        loss_name (str): Name in the log. Only what begins with ``loss_`` is trained on. Defaults
            to 'loss_dice'.

    Examples:
        >>> logits, target = torch.zeros(1, 2, 2, 2), torch.tensor([[[0, 0], [1, 255]]])
        >>> BatchDiceLoss()(logits, target)  # TP 0.5, FP 1, FN 0.5
        tensor(0.3333)
    """

    def __init__(
        self, smooth: float = 1.0, loss_weight: float = 1.0, loss_name: str = 'loss_dice'
    ) -> None:
        super().__init__()
        self.smooth = smooth
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        ignore_index: int = 255,
    ) -> Tensor:
        """Compute the loss, in float32 also where the logits are of half precision.

        Args:
            pred (Tensor): (N, 2, H, W), logits of background and hemorrhage; or (N, 1, H, W), of
                hemorrhage alone.
            target (Tensor): (N, H, W), integers, 1 is hemorrhage.
            weight (Tensor, optional): (N, H, W), weights of pixels. Defaults to None, all 1.
            ignore_index (int): Label of pixels that do not count. Defaults to 255.

        Returns:
            Tensor: A scalar from 0 to ``loss_weight``; 0 if all pixels are ignored.
        """
        if pred.shape[1] == 1:  # the sigmoid of a logit is the softmax of 0 and the logit
            pred = torch.cat([torch.zeros_like(pred), pred], dim=1)
        # Half precision cannot count pixels, and autocast leaves sums in the type they have.
        probability = pred.to(torch.promote_types(pred.dtype, torch.float32)).softmax(dim=1)[:, 1]
        counts = (target != ignore_index).to(probability)
        if weight is not None:
            counts = counts * weight
        truth = counts * (target == 1)
        hits = (probability * truth).sum((1, 2))
        misses = ((1 - probability) * truth).sum((1, 2))
        errors = ((probability * (counts - truth)).sum((1, 2)) + misses) / 2
        return self.loss_weight * self._mean(hits, errors, truth.sum((1, 2)))

    def _mean(self, hits: Tensor, errors: Tensor, truth: Tensor) -> Tensor:
        """The loss, from TP, (FP + FN) / 2 and hemorrhage of each slice, (N,)."""
        hits, errors = hits.sum(), errors.sum()
        return errors / (hits + errors + self.smooth)


@MODELS.register_module()
class SliceDiceLoss(BatchDiceLoss):
    """1 minus the soft Dice of hemorrhage, per slice, then the mean over slices that show some.

    In ``BatchDiceLoss`` the largest bleed of a batch decides; here a small one counts as much. What
    is found in slices without hemorrhage is left to the other losses.

    Args:
        smooth (float): Pixels. Defaults to 1.0.
        loss_weight (float): Factor of the loss. Defaults to 1.0.
        loss_name (str): Name in the log. Defaults to 'loss_slice_dice'.

    Examples:
        >>> logits, target = torch.zeros(2, 2, 1, 2), torch.tensor([[[0, 1]], [[0, 0]]])
        >>> SliceDiceLoss()(logits, target)  # TP, FP, FN 0.5, and a slice that does not count
        tensor(0.2500)
    """

    def __init__(
        self, smooth: float = 1.0, loss_weight: float = 1.0, loss_name: str = 'loss_slice_dice'
    ) -> None:
        super().__init__(smooth, loss_weight, loss_name)

    def _mean(self, hits: Tensor, errors: Tensor, truth: Tensor) -> Tensor:
        """The mean over slices with hemorrhage; 0 without any."""
        shown = truth > 0
        each = errors / (hits + errors + self.smooth)
        return (each * shown).sum() / shown.sum().clamp(min=1)
