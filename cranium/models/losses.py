"""Losses on the overlap of a class, pooled over the batch."""

from collections.abc import Sequence

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn


def tversky_distance(
    probability: Tensor,
    truth: Tensor,
    weight: Tensor,
    alpha: float = 0.5,
    beta: float = 0.5,
    smooth: float = 1.0,
) -> Tensor:
    """Return 1 minus the soft Tversky index of one class, over all pixels together.

    With p the probability, g the truth and w the weight of a pixel, TP = sum(w p g),
    FP = sum(w p (1 - g)) and FN = sum(w (1 - p) g), it is

        (alpha FP + beta FN) / (TP + alpha FP + beta FN + smooth)

    which is exactly 0 where nothing is wrong. With alpha = beta = 0.5 it is 1 minus the soft Dice
    (2 TP + 2 smooth) / (2 TP + FP + FN + 2 smooth).

    Args:
        probability (Tensor): Of the class, of any shape, floating point, from 0 to 1.
        truth (Tensor): Of the same shape, floating point, 1 where a pixel is of the class, else 0.
        weight (Tensor): Of the same shape, floating point, 0 for pixels that do not count.
        alpha (float): Weight of false positives. Defaults to 0.5.
        beta (float): Weight of false negatives. Defaults to 0.5.
        smooth (float): In pixels; see ``FocalTverskyLoss``. Defaults to 1.0.

    Returns:
        Tensor: A scalar from 0 to 1.
    """
    true, false = weight * truth, weight * (1 - truth)
    hit = (probability * true).sum()
    wrong = alpha * (probability * false).sum() + beta * ((1 - probability) * true).sum()
    return wrong / (hit + wrong + smooth)


@MODELS.register_module()
class FocalTverskyLoss(nn.Module):
    """The focal Tversky loss of chosen classes, pooled over the batch: (1 - TI) ** (1 / gamma).

    TI is the Tversky index (Salehi et al., MLMI 2017, doi:10.1007/978-3-319-67389-9_44) on
    probabilities, with alpha for false positives and beta for false negatives as there; the power
    is that of Abraham and Khan, ISBI 2019, doi:10.1109/ISBI.2019.8759329, who use 4/3. One index
    is taken over all pixels of the batch, and the loss is the mean over ``classes``.

    mmseg 1.2.2 has two losses of the kind, which do not serve one thin class:

    - ``DiceLoss`` flattens the classes of an image together with its pixels, so that background,
      nearly all pixels, dominates: where one pixel in a thousand is hemorrhage, missing it all
      costs 0.001. Its ``ignore_index`` drops the *channel* of that number, and pixels of the label
      255 stay: no class is true there, and whatever is predicted counts as wrong.
    - ``TverskyLoss`` takes an index of each image and averages over images and classes, background
      among them. Most slices hold no hemorrhage: their index of it is the smooth term alone, and
      the few that hold some weigh next to nothing. Its ``ignore_index`` leaves out pixels of that
      label, but also the class of that number.

    Statistics are those of the batch of one process: of each device in distributed training, and
    of each step where gradients are accumulated.

    A batch without the class has TP = FN = 0 and gives alpha FP / (alpha FP + ``smooth``) to the
    power: 0 if nothing is predicted, and towards 1 for more falsely predicted pixels than
    ``smooth``. If every pixel is ignored the loss is 0, and so is its gradient.

    Args:
        alpha (float): Weight of false positives. Defaults to 0.3.
        beta (float): Weight of false negatives. Defaults to 0.7.
        gamma (float): The loss is raised to 1 / gamma; above 1, a batch that is nearly right keeps
            a larger gradient. Defaults to 4/3.
        smooth (float): Pixels added to the numerator and the denominator of the index. More, and a
            batch with little of the class counts less. Above 0. Defaults to 1.0.
        classes (Sequence[int]): The classes to average over. Defaults to (1,), hemorrhage.
        loss_weight (float): Factor of the loss. Defaults to 1.0.
        loss_name (str): Name in the log. Only what begins with ``loss_`` is trained on. Defaults
            to 'loss_focal_tversky'.

    Raises:
        ValueError: If an argument is out of its range.

    Examples:
        >>> loss = FocalTverskyLoss(gamma=1)
        >>> logits, target = torch.zeros(1, 2, 2, 2), torch.tensor([[[0, 0], [1, 255]]])
        >>> loss(logits, target)  # (0.3 * 1 + 0.7 * 0.5) / (0.5 + 0.65 + 1)
        tensor(0.3023)
    """

    def __init__(
        self,
        alpha: float = 0.3,
        beta: float = 0.7,
        gamma: float = 4 / 3,
        smooth: float = 1.0,
        classes: Sequence[int] = (1,),
        loss_weight: float = 1.0,
        loss_name: str = 'loss_focal_tversky',
    ) -> None:
        super().__init__()
        if min(alpha, beta) < 0 or min(gamma, smooth) <= 0:
            msg = (
                f'alpha={alpha}, beta={beta}, gamma={gamma}, smooth={smooth}: expected alpha and '
                'beta from 0 upwards, gamma and smooth above 0.'
            )
            raise ValueError(msg)
        if not classes or min(classes) < 0:
            raise ValueError(f'classes={classes}: expected labels, as in (1,) for hemorrhage.')
        self.alpha, self.beta, self.gamma, self.smooth = alpha, beta, gamma, smooth
        self.classes = tuple(classes)
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
        ignore_index: int | None = 255,
    ) -> Tensor:
        """Compute the loss, in float32 also where the logits are of half precision.

        Args:
            pred (Tensor): Logits of shape (N, C, H, W), of which the softmax over C is taken. With
                C = 1 the sigmoid: the probability of class 1, of two.
            target (Tensor): Labels of shape (N, H, W), integers.
            weight (Tensor, optional): Weight of each pixel, from 0, of shape (N, H, W). Defaults
                to None, which is 1.
            avg_factor (float, optional): Must be None: the loss is not a sum over pixels.
            reduction_override (str, optional): 'mean' (over the classes) or None, which is the
                same.
            ignore_index (int, optional): Pixels of this label do not count. Defaults to 255; None
                counts all.

        Returns:
            Tensor: A scalar, from 0 to ``loss_weight``.

        Raises:
            ValueError: If ``avg_factor`` or another reduction is asked for, shapes do not match or
                there are no logits of one of ``classes``.
        """
        if avg_factor is not None or reduction_override not in (None, 'mean'):
            msg = (
                f'avg_factor={avg_factor}, reduction_override={reduction_override!r}: the overlap '
                "of a batch is one number; expected None, and None or 'mean'."
            )
            raise ValueError(msg)
        probabilities = self._probabilities(pred, target)
        counts = torch.ones_like(probabilities[:, 0]) if weight is None else weight.float()
        if ignore_index is not None:
            counts = counts * (target != ignore_index)
        index = (self.alpha, self.beta, self.smooth)
        distances = [
            tversky_distance(probabilities[:, label], (target == label).float(), counts, *index)
            for label in self.classes
        ]
        return self.loss_weight * self._focus(torch.stack(distances)).mean()

    def _probabilities(self, pred: Tensor, target: Tensor) -> Tensor:
        if pred.ndim != 4 or target.shape != pred[:, 0].shape:
            msg = (
                f'pred has the shape {tuple(pred.shape)}, target {tuple(target.shape)}; expected '
                '(N, C, H, W) and (N, H, W).'
            )
            raise ValueError(msg)
        if pred.shape[1] == 1:
            # The sigmoid of a logit is the softmax of 0 and the logit.
            pred = torch.cat([torch.zeros_like(pred), pred], dim=1)
        if max(self.classes) >= pred.shape[1]:
            msg = f'classes={self.classes}: the logits are of {pred.shape[1]} classes only.'
            raise ValueError(msg)
        # Sums over millions of pixels: half precision has three digits. Autocast leaves sums and
        # products in the type of their arguments, so this is enough.
        return pred.to(torch.promote_types(pred.dtype, torch.float32)).softmax(dim=1)

    def _focus(self, distance: Tensor) -> Tensor:
        if self.gamma == 1:
            return distance
        # The power has an infinite slope at 0 if gamma > 1; there the clamp's, which is 0, holds.
        tiny = torch.finfo(distance.dtype).tiny
        return torch.where(distance > tiny, distance.clamp_min(tiny) ** (1 / self.gamma), 0)


@MODELS.register_module()
class BatchDiceLoss(FocalTverskyLoss):
    """1 minus the soft Dice of chosen classes, pooled over the batch.

    ``FocalTverskyLoss`` with alpha = beta = 0.5 and gamma = 1, which tells how it differs from
    mmseg's ``DiceLoss``. Dice as a loss is from Milletari et al., 3DV 2016,
    doi:10.1109/3DV.2016.79; probabilities stand in the denominator in their first power, where the
    paper squares them. A batch without hemorrhage gives FP / (FP + 2 ``smooth``).

    Args:
        smooth (float): Pixels; the index is (2 TP + 2 smooth) / (2 TP + FP + FN + 2 smooth).
            Defaults to 1.0.
        classes (Sequence[int]): The classes to average over. Defaults to (1,), hemorrhage.
        loss_weight (float): Factor of the loss. Defaults to 1.0.
        loss_name (str): Name in the log. Defaults to 'loss_dice'.

    Examples:
        With cross-entropy, in a config that imports ``cranium.models``:

        >>> loss_decode = [
        ...     dict(type='CrossEntropyLoss', loss_name='loss_ce'),
        ...     dict(type='BatchDiceLoss', loss_name='loss_dice'),
        ... ]
    """

    def __init__(
        self,
        smooth: float = 1.0,
        classes: Sequence[int] = (1,),
        loss_weight: float = 1.0,
        loss_name: str = 'loss_dice',
    ) -> None:
        super().__init__(0.5, 0.5, 1.0, smooth, classes, loss_weight, loss_name)
