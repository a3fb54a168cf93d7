"""Where a run's figures come from: versions, config, checkpoint, split; and what that warns of."""

import hashlib
import json
import platform
from collections.abc import Collection, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from cranium.splits import SPLITS

_MM = ('mmcv', 'mmcv-lite', 'mmengine', 'mmsegmentation', 'openmim')
_ONEDL = ('onedl-mmcv', 'onedl-mmengine', 'onedl-mmsegmentation')
_OPENCV = ('opencv-python', 'opencv-python-headless')
_SCIENCE = ('numpy', 'pandas', 'pillow', 'scikit-learn', 'scipy', *_OPENCV)
PACKAGES = ('cranium', 'torch', *_MM, *_ONEDL, *_SCIENCE, 'setuptools')
"""What figures, and reports of defects, name the versions of."""


def versions() -> dict[str, str]:
    """Versions of Python and of ``PACKAGES``, as far as installed."""
    found = {'python': platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def describe_file(file: str | Path) -> dict[str, str]:
    """Name of a file and SHA-256 of what it holds."""
    return {'file': str(file), 'sha256': hashlib.sha256(Path(file).read_bytes()).hexdigest()}


def describe_split(data_root: str | Path) -> dict[str, Any]:
    """The ``protocol`` of a prepared tree and its ``splits`` file; None where it does not tell."""
    file = Path(data_root) / SPLITS
    try:
        protocol = json.loads(file.read_text(encoding='utf-8')).get('protocol')
    except (OSError, ValueError, AttributeError):
        return {'protocol': None, 'splits': None}
    return {'protocol': protocol, 'splits': describe_file(file)}


def describe_run(
    config: Mapping[str, Any],
    tested: Collection[str],
    training: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Where the figures of a run of mmseg come from.

    Args:
        config (mapping): The run's mmengine config.
        tested (collection): Patients that were tested.
        training (mapping, optional): The checkpoint's ``meta['cranium']``.

    Returns:
        dict: Among others ``data`` (folder of the images tested), ``trained_on`` (patients tested
        that were also trained on, None where the checkpoint does not name those),
        ``chosen_on_test`` (whether the checkpoint is the best on these data) and ``alone``
        (whether each slice was taken for the only one of its scan).
    """
    test, val = data_set(config, 'test_dataloader'), data_set(config, 'val_dataloader')
    training, load_from = training or {}, config.get('load_from') or ''
    checkpoint: Any = load_from or None
    if Path(load_from).is_file():
        kept = [key for key in ('version', 'commit', 'data_sha256') if key in training]
        checkpoint = {**describe_file(load_from), **{key: training[key] for key in kept}}
    trained = training.get('training_patients')
    return {
        'versions': versions(),
        'work_dir': config.get('work_dir'),
        'experiment': _experiment(config),
        'checkpoint': checkpoint,
        **describe_split(test.get('data_root') or ''),
        'data': str(_images(test)),
        'trained_on': None if trained is None else sorted(set(trained) & set(tested)),
        'chosen_on_test': Path(load_from).name.startswith('best_')
        and _choice(val) == _choice(test),
        'alone': any(step.get('alone') for step in test.get('pipeline', ())),
    }


def describe_folders(prediction: str | Path, truth: str | Path) -> dict[str, Any]:
    """Where the figures of masks on disk come from; the truth may be of a prepared tree."""
    return {
        'versions': versions(),
        'prediction': str(prediction),
        'data': str(truth),
        **describe_split(Path(truth).resolve().parent.parent),
    }


def warnings(provenance: Mapping[str, Any]) -> list[str]:
    """What a reader of the figures has to know of their origin, a sentence or two each."""
    protocol, shared = provenance.get('protocol'), provenance.get('trained_on', [])
    first = ', '.join([*shared[:8], *['...'] * (len(shared) > 8)]) if shared else ''
    found = {
        'Split by slices: neighbours of the tested slices were trained on. The figures are '
        'inflated; compare them only with others of the same split.': protocol == 'slice',
        f'The split protocol is not known (no {SPLITS} beside the data): whether tested patients '
        'were trained on cannot be told from it.': protocol is None,
        'Whether tested patients were trained on could not be told: the checkpoint does not name '
        'its training patients.': shared is None,
        f'{len(shared or [])} of the tested patients were also trained on ({first}): these are not '
        'figures of unseen patients.': shared,
        'The checkpoint was chosen as the best on these very data, so the figures flatter; test on '
        'a split that had no part in the choice.': provenance.get('chosen_on_test'),
        'Each slice was tested as if its scan had no other; figures of patients are those of their '
        'highest slice.': provenance.get('alone'),
    }
    return [text for text, holds in found.items() if holds]


def data_set(config: Mapping[str, Any], loader: str) -> Mapping[str, Any]:
    """Config of the innermost data set of a loader, empty where there is none."""
    dataset: Mapping[str, Any] = (config.get(loader) or {}).get('dataset') or {}
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    return dataset


def _experiment(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a results table says of an experiment; None for what the config does not tell."""

    def look_up(path: str) -> Any:
        found: Any = config
        for key in path.split('.'):
            found = (found or {}).get(key)
        return found

    sizes = ('crop_size', 'model.data_preprocessor.size', 'align.size', 'img_scale')
    size = next(filter(None, map(look_up, sizes)), ())
    return {
        'name': _name(Path(str(config.get('work_dir') or ''))),
        'backbone': look_up('model.backbone.type'),
        'crop_size': 'x'.join(map(str, size)) or None,
        'lr': look_up('optim_wrapper.optimizer.lr'),
    }


def _name(work_dir: Path) -> str | None:
    """Name a training as mim names its folder, after the config; a test may lie in that."""
    return (work_dir.parent if work_dir.name in ('test', 'test-alone') else work_dir).name or None


def _images(dataset: Mapping[str, Any]) -> Path:
    prefix = (dataset.get('data_prefix') or {}).get('img_path') or ''
    return Path(dataset.get('data_root') or '') / prefix


def _choice(dataset: Mapping[str, Any]) -> tuple[Any, ...]:
    """What tells the images of two data sets apart."""
    return dataset.get('patients') or None, dataset.get('ann_file') or None, _images(dataset)
