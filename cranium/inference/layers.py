"""Layers of about 5 mm, which the network was trained on, out of slices as scanners make them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cranium.slices import SLICE_MM

THIN_MM = 3.0
"""Slices that lie so close are averaged; thicker ones are used themselves."""
GAP_MM = 2 * SLICE_MM
"""So far away is no neighbour: one slice of the training's is missing between."""


@dataclass(frozen=True, eq=False)
class Layers:
    """What the network sees of a scan: the slices themselves, or slabs of thin ones.

    Args:
        positions (ndarray): (L,), in mm along the normal, ascending.
        members (tuple): For each layer the first of its slices and their weights, whose sum is 1.
        lower (ndarray): (N,), for each slice the layer whose prediction it takes.
        upper (ndarray): (N,), and the next above, which it may lie towards.
        share (ndarray): (N,), by which part, 0 to 1, it takes that one's.
    """

    positions: NDArray[np.float64]
    members: tuple[tuple[int, NDArray[np.float64]], ...]
    lower: NDArray[np.int64]
    upper: NDArray[np.int64]
    share: NDArray[np.float64]

    def __len__(self) -> int:  # noqa: D105
        return len(self.positions)

    def hu(self, slices: NDArray[np.int16], layer: int) -> NDArray[np.int16]:
        """Average the slices, (N, H, W), of a layer to (H, W)."""
        first, weights = self.members[layer]
        if len(weights) == 1:
            lone: NDArray[np.int16] = slices[first]
            return lone
        total = np.zeros(slices.shape[1:], np.float32)
        for weight, slice in zip(weights, slices[first:]):
            total += np.float32(weight) * slice
        return np.asarray(np.rint(total, out=total), np.int16)

    def neighbors(self, layer: int, reach: int) -> list[int]:
        """Look up a layer and those beside it, one for each 5 mm.

        The nearest that there is; where it is 10 mm away or more, at either end of a scan or in a
        gap, the layer itself stands in, as in :func:`cranium.datasets.sample.neighbors`.

        Args:
            layer (int): The layer.
            reach (int): How many on either side.

        Returns:
            list[int]: Of length 2 ``reach`` + 1, from the lowest to the highest.
        """
        found = [layer]
        for step in range(1, reach + 1):
            here, away = self.positions[layer], step * SLICE_MM
            below, above = range(found[0]), range(found[-1] + 1, len(self))
            found.insert(0, self._nearest(below, here - away, found[0]))
            found.append(self._nearest(above, here + away, found[-1]))
        return found

    def _nearest(self, candidates: range, position: float, otherwise: int) -> int:
        if not candidates:
            return otherwise
        found = min(candidates, key=lambda layer: abs(self.positions[layer] - position))
        distance = abs(self.positions[found] - self.positions[otherwise])
        return found if distance < GAP_MM else otherwise

    def parts(self, slice: int) -> list[tuple[int, float]]:
        """Which layers a slice takes from, one or two; and from the second, which share."""
        lower = int(self.lower[slice]), 1.0
        share = float(self.share[slice])
        return [lower, (int(self.upper[slice]), share)] if share else [lower]

    def to_slices(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Interpolate one value for each layer, (L,), to one for each slice, (N,)."""
        found: NDArray[np.float64] = (1 - self.share) * values[self.lower]
        return found + self.share * values[self.upper]

    def smooth(self, values: NDArray[np.float64], deviation: float) -> NDArray[np.float64]:
        """Smooth one value for each layer by a Gaussian along the scan.

        Args:
            values (ndarray): (L,).
            deviation (float): The Gaussian's, in slices of 5 mm; 0 leaves the values.

        Returns:
            ndarray: (L,); see :func:`cranium.evaluation.records.smooth_scores`.
        """
        if not deviation:
            return values
        distances = np.subtract.outer(self.positions, self.positions) / (deviation * SLICE_MM)
        weights = np.exp(-(distances**2) / 2)
        smoothed: NDArray[np.float64] = weights @ values / weights.sum(axis=1)
        return smoothed


def plan_layers(positions: NDArray[np.float64]) -> Layers:
    """Choose what the network sees of slices at such positions.

    Slices that follow each other within 3 mm are averaged to slabs of 5 mm, whose centres are at
    most 2.5 mm apart, by how much of each slice lies in a slab; a slice between two centres takes
    from the predictions of both. Other slices are their own layers.

    Args:
        positions (ndarray): (N,), in mm along the normal, ascending.
    """
    centers: list[float] = []
    members: list[tuple[int, NDArray[np.float64]]] = []
    lower, upper, share = (np.zeros(len(positions), kind) for kind in (int, int, float))
    for first, last in _runs(positions):
        run, begin = positions[first:last], len(centers)
        for center, inside, weights in _slabs(run):
            centers.append(center)
            members.append((first + inside, weights))
        inner = np.array(centers[begin:])
        place = np.interp(run, inner, np.arange(len(inner)))
        lower[first:last] = begin + np.floor(place).astype(int)
        upper[first:last] = begin + np.ceil(place).astype(int)
        share[first:last] = place % 1
    return Layers(np.array(centers), tuple(members), lower, upper, share)


def _runs(positions: NDArray[np.float64]) -> Iterator[tuple[int, int]]:
    """First slice, and the one after the last, of slices that follow each other closely."""
    breaks = np.flatnonzero(np.diff(positions) > THIN_MM) + 1
    yield from pairwise([0, *breaks.tolist(), len(positions)])


def _slabs(run: NDArray[np.float64]) -> Iterator[tuple[float, int, NDArray[np.float64]]]:
    """The centre of each slab, the first slice in it, and the weights of its slices."""
    if len(run) == 1:
        yield float(run[0]), 0, np.ones(1)
        return
    middles = (run[1:] + run[:-1]) / 2
    edges = np.concatenate([[2 * run[0] - middles[0]], middles, [2 * run[-1] - middles[-1]]])
    spare = max(edges[-1] - edges[0] - SLICE_MM, 0.0)
    count = math.ceil(spare / (SLICE_MM / 2)) + 1
    middle = (edges[0] + edges[-1]) / 2
    for center in middle + np.linspace(-spare / 2, spare / 2, count):
        low, high = center - SLICE_MM / 2, center + SLICE_MM / 2
        overlap = np.clip(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0, None)
        inside = np.flatnonzero(overlap > 1e-6)
        weights = overlap[inside[0] : inside[-1] + 1]
        yield float(center), int(inside[0]), weights / weights.sum()
