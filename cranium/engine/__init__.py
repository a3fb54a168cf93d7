"""Running on today's stack. Importing this package closes the gaps; each does nothing if not there.

Import it before ``mmseg.models``; ``cranium.register`` and so every config of the project does.
"""

from cranium import mmcv_ops

from . import cpu_distributed, one_writer, safe_checkpoints

mmcv_ops.install_stand_in()
safe_checkpoints.allow_mmengine_checkpoints()
cpu_distributed.teach_runner()
one_writer.let_one_write()
