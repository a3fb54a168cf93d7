"""Known faults of the download, from ``errata.yaml``, which a person can read and extend."""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from cranium.windows import BONE, BRAIN, Window


@dataclass(frozen=True)
class Erratum:
    """A fault of a scan and its correction.

    Args:
        patient (str): The patient.
        fault (str): What is wrong.
        seen (str): How it was seen.
        correction (str): What is done.
        brain (Window): What the brain window really shows. Defaults to that of ct-ich.
        bone (Window): What the bone window really shows. Defaults to that of ct-ich.
        bone_offset (int): Brain window n belongs to bone window n + ``bone_offset``. Defaults to 0.
    """

    patient: str
    fault: str
    seen: str
    correction: str
    brain: Window = BRAIN
    bone: Window = BONE
    bone_offset: int = 0

    @property
    def note(self) -> str:
        """What the manifest says of a slice that was corrected."""
        if self.bone_offset:
            return f'erratum: bone window of slice n{self.bone_offset:+d}'
        windows = [f'{window.low:g} to {window.high:g}' for window in (self.brain, self.bone)]
        return f'erratum: windows of {" and ".join(windows)} HU'


@lru_cache(maxsize=1)
def read_errata() -> dict[str, Erratum]:
    """Read the known faults of ct-ich.

    Returns:
        dict[str, Erratum]: By patient.
    """
    import yaml

    text = files(__package__).joinpath('errata.yaml').read_text(encoding='utf-8')
    errata = {}
    for entry in yaml.safe_load(text):
        for name in ('brain', 'bone'):
            if name in entry:
                low, high = entry[name]
                entry[name] = Window((low + high) / 2, high - low)
        errata[entry['patient']] = Erratum(**entry)
    return errata
