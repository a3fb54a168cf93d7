"""The segmentor for slices in head space."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from scipy import ndimage
from torch import Tensor

from cranium.errors import CraniumError

_OUTSIDE = 20.0  # log-odds of background beyond the aligned image


@MODELS.register_module()
class AlignedEncoderDecoder(EncoderDecoder):
    """mmseg's EncoderDecoder for what ``AlignHead`` has aligned.

    Predictions are mapped back to the pixels of the slice by ``head_to_slice_affine``, so that they
    are compared with the truth on its own grid. With an auxiliary ``SliceHead`` each data sample
    gets ``slice_score``: the mean of its log-odds of hemorrhage and the highest log-odds of a
    pixel, which are right in different cases.

    Args:
        test_cfg (dict): ``mode`` must be 'whole'. With ``flip=True`` the prediction is the mean
            over the slice and its mirror image, which in head space is a head as well. With
            ``thresholds=(low, high)`` a region of pixels whose log-odds of hemorrhage are above
            ``low`` is hemorrhage if any of them is above ``high`` (hysteresis thresholding; Canny
            1986, doi:10.1109/TPAMI.1986.4767851): faint edges of certain bleeds count, specks do
            not. Defaults to (0, 0), the likelier class of each pixel.
        **kwargs: As ``EncoderDecoder``.

    Raises:
        CraniumError: ``test_cfg`` has another mode, or thresholds in the wrong order.
    """

    def __init__(self, *, test_cfg: dict[str, Any] | None = None, **kwargs: Any) -> None:
        options = test_cfg or {}
        if (mode := options.get('mode', 'whole')) != 'whole':
            raise CraniumError(f"test_cfg.mode is {mode!r}; aligned slices need mode='whole'")
        low, high = options.get('thresholds', (0.0, 0.0))
        if low > high:
            raise CraniumError(f'test_cfg.thresholds is ({low}, {high}); put the lower one first')
        super().__init__(test_cfg=test_cfg, **kwargs)

    def predict(
        self, inputs: Tensor, data_samples: list[SegDataSample] | None = None
    ) -> list[SegDataSample]:
        """Predict masks on the grids of the slices.

        Args:
            inputs (Tensor): (N, C, height, width), in head space.
            data_samples (list): Each with ``head_to_slice_affine`` and ``ori_shape`` in its
                metainfo.

        Returns:
            list[SegDataSample]: With ``seg_logits`` (2, H, W), ``pred_sem_seg`` (1, H, W) and
            perhaps ``slice_score`` in the metainfo.
        """
        logits, scores = self.forward_aligned(inputs)
        samples = data_samples or [SegDataSample() for _ in inputs]
        for index, sample in enumerate(samples):
            found = _map_back(logits[index].float(), sample)
            labels = _hysteresis(found[1] - found[0], *self.test_cfg.get('thresholds', (0.0, 0.0)))
            sample.set_data(
                {'seg_logits': PixelData(data=found), 'pred_sem_seg': PixelData(data=labels[None])}
            )
            if scores is not None:
                sample.set_metainfo({'slice_score': float(scores[index])})
        return samples

    def forward_aligned(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Compute what is predicted in head space, as ``test_cfg`` says.

        Args:
            inputs (Tensor): (N, C, height, width), normalised.

        Returns:
            tuple: Logits of pixels, (N, 2, height, width), and scores of slices, (N,), or None.
        """
        logits, scores = self._forward_both(inputs)
        if self.test_cfg.get('flip'):
            mirrored, mirrored_scores = self._forward_both(inputs.flip(3))
            logits = (logits + mirrored.flip(3)) / 2
            if scores is not None and mirrored_scores is not None:
                scores = (scores + mirrored_scores) / 2
        if scores is not None:
            scores = (scores + (logits[:, 1] - logits[:, 0]).amax((1, 2))) / 2
        return logits, scores

    def _forward_both(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits of pixels, (N, 2, height, width), and of slices, (N,)."""
        features = self.extract_feat(inputs)
        logits = self.decode_head.forward(features)
        logits = F.interpolate(logits, inputs.shape[2:], mode='bilinear', align_corners=False)
        return logits, self.auxiliary_head(features) if self.with_auxiliary_head else None


def _map_back(logits: Tensor, sample: SegDataSample) -> Tensor:
    """Resample logits, (2, height, width), to the slice; leave them if it was not aligned."""
    if 'head_to_slice_affine' not in sample.metainfo:
        return logits
    height, width = sample.ori_shape
    affine = torch.as_tensor(sample.head_to_slice_affine, dtype=torch.float64)
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')
    slice_px = torch.stack([x, y, torch.ones_like(x)], dim=-1).to(affine)
    aligned_px = (slice_px @ torch.linalg.inv(affine)[:2].T).to(logits)
    size = torch.tensor([logits.shape[2], logits.shape[1]]).to(logits)
    grid = (2 * aligned_px + 1) / size - 1  # grid_sample counts from edge to edge
    log_odds = (logits[1] - logits[0] + _OUTSIDE)[None, None]  # 0, its padding, is background
    found = F.grid_sample(log_odds, grid[None], align_corners=False)[0, 0] - _OUTSIDE
    return torch.stack([torch.zeros_like(found), found])


def _hysteresis(log_odds: Tensor, low: float, high: float) -> Tensor:
    """Label 1 where a region above ``low``, of eight neighbours, has a pixel above ``high``."""
    possible = log_odds > low
    if low < high:
        regions, _ = ndimage.label(possible.cpu().numpy(), structure=np.ones((3, 3), bool))
        certain = np.unique(regions[(log_odds > high).cpu().numpy()])
        possible = torch.from_numpy(np.isin(regions, certain)).to(possible)
    return possible.long()
