"""Telling the series of DICOM files apart, and what belongs together in each."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from cranium.scans.headers import Header


@dataclass(frozen=True)
class Series:
    """Slices that make one scan.

    Args:
        name (str): A pseudonym.
        headers (tuple[Header, ...]): Its files, in the order of their paths.
        remarks (tuple[str, ...]): What a user should know of it.
    """

    name: str
    headers: tuple[Header, ...]
    remarks: tuple[str, ...] = ()


def series_of(headers: Sequence[Header]) -> list[Series]:
    """Sort slices into scans, in the order of the first file of each."""
    groups: dict[str, list[Header]] = {}
    for header in headers:
        groups.setdefault(header.series, []).append(header)
    return [Series(_name(uid), tuple(group)) for uid, group in groups.items()]


def _name(uid: str) -> str:
    """Return a pseudonym of a series: no way leads back from it to the patient."""
    return f'series-{hashlib.sha256(uid.encode()).hexdigest()[:8]}'
