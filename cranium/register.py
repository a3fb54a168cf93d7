"""Importing this module registers every class of Cranium; configs name it in ``custom_imports``."""

# isort: off
import cranium.engine  # before anything of mmseg
import cranium.engine.hooks
import cranium.engine.loops
import cranium.engine.options
import cranium.datasets
import cranium.evaluation.hemorrhage_metric
import cranium.models
import cranium.visualization.hooks
import cranium.visualization.visualizer  # noqa: F401
