"""Training at a low resolution first."""

from dataclasses import dataclass

from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from .sample import Sample


@TRANSFORMS.register_module()
@dataclass(eq=False)
class ProgressiveResizing(BaseTransform):
    """Make the first part of a training coarse: several times as many steps in the same time.

    Comes before ``LoadScan``, which shrinks coarse slices more, and ``AlignHead``, which makes
    coarse images smaller. ``BalancedSampler`` and ``ResumableTrainLoop`` tell how much of the
    training is over; all samples of an iteration agree, with any batch size and number of
    processes. Samples that are not drawn in such a training have the full resolution.
    (Howard et al., DAWNBench 2018; Tan & Le, ICML 2021, arXiv:2104.00298.)

    Args:
        share (float): Share of the training's iterations that are coarse. Defaults to 0.75.
        factor (int): Height and width of images are divided by it. Defaults to 2.
    """

    share: float = 0.75
    factor: int = 2

    def transform(self, results: Sample) -> Sample:
        """Set ``coarsening`` by ``progress``."""
        coarse = results.get('progress', 1.0) < self.share
        results['coarsening'] = self.factor if coarse else 1
        return results
