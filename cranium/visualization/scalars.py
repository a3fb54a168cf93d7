"""The scalars that mmengine logs during training."""

import json
from collections.abc import Iterator
from pathlib import Path


def read_scalars(work_dir: str | Path) -> list[dict[str, float]]:
    """Read what a training logged; of one that was resumed, all parts.

    Args:
        work_dir (str | Path): Work directory of the run.

    Returns:
        list[dict]: A dict a log entry, ordered by its ``step``; where a part repeats a step, the
        later part counts. Empty where the folder holds no scalars. A last line that was cut off
        as the training was stopped is left out.

    Raises:
        ValueError: If another line is no entry; the message names file and line.
    """
    entries: dict[tuple[float, bool], dict[str, float]] = {}
    for file in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        for entry in _entries(file):
            if 'step' in entry:
                # A step of training and the validation after it have the same number.
                entries[entry['step'], 'loss' in entry] = entry
    return [entries[key] for key in sorted(entries)]


def _entries(file: Path) -> Iterator[dict[str, float]]:
    lines = file.read_bytes().splitlines()
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line) if line.strip() else {}
            if not isinstance(entry, dict):
                raise ValueError('no entry')
        except ValueError:
            if number == len(lines):
                return
            raise ValueError(
                f'{file}: line {number} is not an entry of mmengine; delete the line'
            ) from None
        yield entry
