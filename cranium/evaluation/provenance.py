"""Where a run's figures come from: versions, config, checkpoint, split; and what that warns of."""

import hashlib
import json
import platform
from collections.abc import Collection, Mapping
from importlib import metadata
from pathlib import Path

from cranium.evaluation.records import parse_name

PACKAGES = ('cranium', 'torch', 'mmengine', 'mmcv', 'mmcv-lite', 'mmsegmentation', 'numpy', 'scipy')
SPLITS = 'splits.json'


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that figures depend on, as far as installed."""
    found = {'python': platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def describe_file(file: str | Path) -> dict[str, str]:
    """Name of a file and SHA-256 of what it holds.

    Args:
        file (str | Path): The file.

    Returns:
        dict: ``file`` and ``sha256``.

    Raises:
        OSError: If it cannot be read.
    """
    with open(file, 'rb') as data:
        digest = hashlib.sha256()
        while block := data.read(1 << 20):
            digest.update(block)
    return {'file': str(file), 'sha256': digest.hexdigest()}


def describe_split(data_root: str | Path) -> dict[str, object]:
    """The split of a prepared tree.

    Args:
        data_root (str | Path): Prepared tree, with its ``splits.json``.

    Returns:
        dict: ``protocol`` (``'patient'``, ``'authors'``, ``'slice'`` or None) and ``splits``, the
        file with its hash, None where there is none.
    """
    file = Path(data_root) / SPLITS
    try:
        protocol = json.loads(file.read_text(encoding='utf-8')).get('protocol')
    except (OSError, ValueError, AttributeError):
        return {'protocol': None, 'splits': None}
    return {'protocol': protocol, 'splits': describe_file(file)}


def describe_run(config: Mapping[str, object], tested: Collection[str]) -> dict[str, object]:
    """Where the figures of a run of mmseg come from.

    Args:
        config (mapping): The run's mmengine config.
        tested (collection): Patients that were tested.

    Returns:
        dict: ``versions``, ``work_dir``, ``experiment`` (name, backbone, crop size, learning rate),
        ``checkpoint``, ``protocol``, ``splits``, ``data`` (folder of the images tested),
        ``trained_on`` (patients tested that were also trained on, None where that is not known)
        and ``chosen_on_test`` (whether the checkpoint is the best on these data).
    """
    test, val, train = (_dataset(config, f'{kind}_dataloader') for kind in ('test', 'val', 'train'))
    checkpoint = config.get('load_from')
    is_file = checkpoint and Path(checkpoint).is_file()
    trained = _patients(train)
    return {
        'versions': versions(),
        'work_dir': config.get('work_dir'),
        'experiment': _experiment(config),
        'checkpoint': describe_file(checkpoint) if is_file else checkpoint,
        **describe_split(test.get('data_root') or ''),
        'data': str(_images(test)),
        'trained_on': None if trained is None else sorted(trained & set(tested)),
        'chosen_on_test': bool(
            checkpoint and Path(checkpoint).name.startswith('best_') and _same_data(val, test)
        ),
    }


def describe_folders(prediction: str | Path, truth: str | Path) -> dict[str, object]:
    """Where the figures of masks on disk come from.

    Args:
        prediction (str | Path): Folder of predicted masks.
        truth (str | Path): Folder of true masks, such as ``masks/val`` of a prepared tree, whose
            split is then known.

    Returns:
        dict: ``versions``, ``prediction``, ``data``, ``protocol`` and ``splits``.
    """
    return {
        'versions': versions(),
        'prediction': str(prediction),
        'data': str(truth),
        **describe_split(Path(truth).resolve().parent.parent),
    }


def warnings(provenance: Mapping[str, object]) -> list[str]:
    """What a reader of the figures has to know of their origin.

    Args:
        provenance (mapping): From :func:`describe_run` or :func:`describe_split`.

    Returns:
        list[str]: A sentence or two each.
    """
    found = []
    if provenance.get('protocol') == 'slice':
        found.append(
            'Split by slices: neighbours of the tested slices were trained on. The figures are '
            'inflated; compare them only with others of the same split.'
        )
    elif provenance.get('protocol') is None:
        found.append(
            f'The split protocol is not known (no {SPLITS} beside the data): whether tested '
            'patients were trained on cannot be told from it.'
        )
    if 'trained_on' in provenance and provenance['trained_on'] is None:
        found.append(
            'Whether tested patients were trained on could not be told: the config does not lead '
            'to the training images.'
        )
    if shared := provenance.get('trained_on'):
        found.append(
            f'{len(shared)} of the tested patients were also trained on ({_some(shared)}): these '
            'are not figures of unseen patients.'
        )
    if provenance.get('chosen_on_test'):
        found.append(
            'The checkpoint was chosen as the best on these very data, so the figures flatter; '
            'test on a split that had no part in the choice.'
        )
    return found


def _experiment(config: Mapping[str, object]) -> dict[str, object]:
    """What a results table says of an experiment; None for what the config does not tell."""
    model = config.get('model') or {}
    size = (
        config.get('crop_size')
        or (model.get('data_preprocessor') or {}).get('size')
        or (config.get('head_frame') or {}).get('size')
        or config.get('img_scale')
    )
    return {
        # mim names the work directory after the config.
        'name': Path(str(config.get('work_dir') or '')).name or None,
        'backbone': (model.get('backbone') or {}).get('type'),
        'crop_size': 'x'.join(map(str, size)) if size else None,
        'lr': ((config.get('optim_wrapper') or {}).get('optimizer') or {}).get('lr'),
    }


def _dataset(config: Mapping[str, object], key: str) -> Mapping[str, object]:
    """Config of the innermost data set of a loader, empty where there is none."""
    dataset = (config.get(key) or {}).get('dataset') or {}
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    return dataset


def _images(dataset: Mapping[str, object]) -> Path:
    prefix = (dataset.get('data_prefix') or {}).get('img_path') or ''
    return Path(dataset.get('data_root') or '') / prefix


def _patients(dataset: Mapping[str, object]) -> set[str] | None:
    """Patients of a data set on disk; None where they cannot be told."""
    chosen = dataset.get('patients')
    if not dataset or dataset.get('ann_file'):
        return None
    try:
        found = {parse_name(file)[0] for file in _images(dataset).iterdir()}
        # As CraniumDataset takes them, numbers or names.
        return found if chosen is None else found & {f'{int(p):03d}' for p in chosen}
    except (OSError, ValueError):
        return None


def _same_data(first: Mapping[str, object], second: Mapping[str, object]) -> bool:
    keys = ('patients', 'ann_file')
    same_choice = all((first.get(key) or None) == (second.get(key) or None) for key in keys)
    return bool(first) and same_choice and _images(first) == _images(second)


def _some(names: Collection[str], most: int = 8) -> str:
    shown = ', '.join(list(names)[:most])
    return shown + (f' and {len(names) - most} more' if len(names) > most else '')
