"""mmseg's visualizer with a switch for TensorBoard."""

from collections.abc import Sequence
from typing import Any

from mmseg.registry import VISUALIZERS
from mmseg.visualization import SegLocalVisualizer


@VISUALIZERS.register_module()
class CraniumVisualizer(SegLocalVisualizer):
    """mmseg's visualizer, to which ``--cfg-options visualizer.tensorboard=True`` adds TensorBoard.

    mim cannot add to the list of backends.
    """

    def __init__(
        self,
        name: str = 'visualizer',
        vis_backends: Sequence[dict[str, Any]] | None = None,
        tensorboard: bool = False,
        **kwargs: Any,
    ) -> None:
        added = [dict(type='TensorboardVisBackend')] if tensorboard else []
        super().__init__(name, vis_backends=[*(vis_backends or []), *added] or None, **kwargs)
