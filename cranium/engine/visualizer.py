"""mmseg's visualizer with a switch for TensorBoard."""

from importlib.util import find_spec
from typing import Any

from mmseg.registry import VISUALIZERS
from mmseg.visualization import SegLocalVisualizer

from cranium.errors import CraniumError

TENSORBOARD = 'TensorboardVisBackend'


@VISUALIZERS.register_module()
class CraniumVisualizer(SegLocalVisualizer):
    """mmseg's visualizer, to which TensorBoard is added by one option.

    ``--cfg-options visualizer.tensorboard=True`` does it: to give ``vis_backends`` itself there
    would mean to repeat the whole list.

    Args:
        name (str): Name of the instance. Defaults to 'visualizer'.
        vis_backends (list[dict], optional): As mmseg's. Defaults to None.
        tensorboard (bool): Whether to write for TensorBoard as well, into ``vis_data/``. Defaults
            to False.
        **kwargs: Passed to ``SegLocalVisualizer``.

    Raises:
        CraniumError: If TensorBoard is wanted and not installed.
    """

    def __init__(
        self,
        name: str = 'visualizer',
        vis_backends: list[dict[str, Any]] | None = None,
        tensorboard: bool = False,
        **kwargs: Any,
    ) -> None:
        if tensorboard:
            if find_spec('tensorboard') is None:
                raise CraniumError(
                    'TensorBoard is not installed: pip install tensorboard, or leave out '
                    'visualizer.tensorboard=True'
                )
            vis_backends = list(vis_backends or [])
            if TENSORBOARD not in [backend['type'] for backend in vis_backends]:
                vis_backends.append(dict(type=TENSORBOARD))
        super().__init__(name=name, vis_backends=vis_backends, **kwargs)
