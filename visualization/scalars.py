"""The scalars that mmengine logs during training."""

import json
from pathlib import Path


def read_scalars(work_dir: str | Path) -> list[dict[str, float]]:
    """Read what a training logged; of one that was resumed, all parts.

    Args:
        work_dir (str | Path): Work directory of the run.

    Returns:
        list[dict]: A dict a log entry, ordered by its ``step``; where a part repeats a step, the
        later part counts. Empty where the folder holds no scalars.
    """
    entries: dict[tuple[float, bool], dict[str, float]] = {}
    for file in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        for line in file.read_text(encoding='utf-8').splitlines():
            entry = json.loads(line)
            if 'step' in entry:
                # A step of training and the validation after it have the same number.
                entries[entry['step'], 'loss' in entry] = entry
    return [entries[key] for key in sorted(entries)]
