"""mmseg's visualizer with a switch for TensorBoard."""

from collections.abc import Sequence
from typing import Any

from mmseg.registry import VISUALIZERS
from mmseg.visualization import SegLocalVisualizer


@VISUALIZERS.register_module()
class CraniumVisualizer(SegLocalVisualizer):
    """mmseg's visualizer, to which TensorBoard is added by one option.

    ``--cfg-options visualizer.tensorboard=True`` does it: mim cannot add to the list of backends.

    Args:
        name (str): Name of the instance. Defaults to 'visualizer'.
        vis_backends (Sequence[dict]): As mmseg's. Defaults to none.
        tensorboard (bool): Whether to write for TensorBoard as well, into ``vis_data/``, for which
            it has to be installed. Defaults to False.
        **kwargs: As ``SegLocalVisualizer``.
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
