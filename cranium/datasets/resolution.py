"""Training at a low resolution first."""

from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class CoarseFirst(BaseTransform):
    """Make the first draws of a training coarse: several times as many steps in the same time.

    ``LoadScan`` shrinks coarse slices more and ``AlignHead`` makes their frame smaller. It comes
    before both. Which draws are coarse follows from their number alone, so a training may be
    stopped and resumed anywhere. Without effect outside of a training with ``BalancedSampler``.
    (Growing the images: Howard et al., DAWNBench 2018; Tan & Le, ICML 2021, arXiv:2104.00298.)

    Added keys: ``coarse``, by which a slice is coarser than otherwise; 1 is not at all.

    Args:
        draws (int): How many draws are coarse, of all processes together; a multiple of the batch
            size, or one batch holds both and is padded.
        factor (int): Height and width of the frame are divided by it. Defaults to 2.
    """

    def __init__(self, draws: int, factor: int = 2) -> None:
        self.draws = draws
        self.factor = factor

    def transform(self, results: dict) -> dict:
        """Note whether this draw is coarse.

        Args:
            results (dict): With ``draw``, its number, in a training.

        Returns:
            dict: The same with ``coarse``.
        """
        results['coarse'] = self.factor if results.get('draw', self.draws) < self.draws else 1
        return results
