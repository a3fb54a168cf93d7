"""Train configs in pieces, as short jobs of a cluster allow, each from where the last one stopped.

``cranium cross-validate`` does so for folds of patients. This is for a tree as it was split, also
by slices. Nothing is validated, and the last checkpoint is tested.
"""

from collections.abc import Sequence
from pathlib import Path

from cranium.engine.cross_validation import FINISHED, Fold, load_experiment


def experiment(path: Path, tree: Path, folder: Path, options: Sequence[str] = ()) -> Fold:
    """Make what trains and tests a config.

    Args:
        path (Path): The config.
        tree (Path): The prepared tree.
        folder (Path): The work directory.
        options (Sequence[str]): Settings ``key=value``, as for mim's ``--cfg-options``.
    """
    config = load_experiment(path, options)
    for part in ('train', 'test'):
        config[f'{part}_dataloader'].dataset.data_root = str(tree.resolve())
    config.update(val_dataloader=None, val_cfg=None, val_evaluator=None, work_dir=str(folder))
    return Fold(config)


def train_in_pieces(folds: Sequence[Fold]) -> None:
    """Go on with each training, one after another, and test it.

    Ends with this process, as by ``timeout`` or by the batch system; the next call goes on from
    the last checkpoints.

    Raises:
        CraniumError: If a training fails, is at work elsewhere or was made with other settings.
    """
    for fold in folds:
        if fold.state() != FINISHED:
            fold.run()
