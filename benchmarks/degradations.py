"""What befalls slices on their way to a user's folder; pure functions of slices and their masks."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from cranium.head import head_mask, head_to_slice_affine, make_warp, warp_hu
from cranium.scans.estimate import estimate_window
from cranium.scans.pictures import to_hu
from cranium.windows import BRAIN, Window

_GRAIN_PX = 1.0
"""Noise of a CT is no finer, as its kernel smooths it."""


@dataclass(frozen=True, eq=False)
class Slices:
    """Slices of a scan, and the hemorrhage in them.

    Args:
        hu (ndarray): (N, H, W) int16.
        masks (ndarray): (N, H, W) uint8, 0 or 1.
        pixel_mm (float, optional): Side of a pixel, None where a user would not know it.
        window (Window, optional): What of the HU is left. Defaults to None: all.
    """

    hu: NDArray[np.int16]
    masks: NDArray[np.uint8]
    pixel_mm: float | None
    window: Window | None = None

    def __getitem__(self, chosen: slice) -> 'Slices':  # noqa: D105
        return replace(self, hu=self.hu[chosen], masks=self.masks[chosen])


Degradation = Callable[[Slices], Slices]


def show(slices: Slices, shown: Window, taken: Window | None) -> Slices:
    """Save slices as 8-bit pictures of a window, and take these for pictures of another one.

    Args:
        slices (Slices): The slices.
        shown (Window): What the pictures show.
        taken (Window, optional): What they are taken for. None: what is estimated, or the brain
            window where that cannot be.
    """
    gray = shown.to_gray(slices.hu)
    if taken is None:
        taken = estimate_window(gray) or BRAIN
    return replace(slices, hu=to_hu(gray, taken), window=taken)


def compress(slices: Slices, quality: int) -> Slices:
    """Save slices as JPEG of the brain window."""
    jpegs = [
        cv2.imencode('.jpg', gray, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        for gray in BRAIN.to_gray(slices.hu)
    ]
    gray = np.stack([cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE) for jpeg in jpegs])
    return replace(slices, hu=BRAIN.to_hu(np.asarray(gray, np.uint8)), window=BRAIN)


def resize(slices: Slices, side: int) -> Slices:
    """Resize pictures to so many pixels along the longer side; how large these are is lost."""
    longer = max(slices.hu.shape[1:])
    height, width = (max(round(length * side / longer), 1) for length in slices.hu.shape[1:])
    how = cv2.INTER_AREA if side < longer else cv2.INTER_LINEAR
    hu = np.stack([cv2.resize(each, (width, height), interpolation=how) for each in slices.hu])
    shares = [cv2.resize(255 * each, (width, height), interpolation=how) for each in slices.masks]
    masks = (np.stack(shares) > 127).astype(np.uint8)
    return replace(slices, hu=np.asarray(hu, np.int16), masks=masks, pixel_mm=None)


def crop(slices: Slices, share: float, knows_size: bool = False) -> Slices:
    """Cut pictures through the left side of the head, of whose width a share is lost.

    Args:
        slices (Slices): The slices.
        share (float): Of the widest head in them.
        knows_size (bool): Whether the size of a pixel stays known. Defaults to False.
    """
    columns = np.flatnonzero(
        np.any([head_mask(BRAIN.to_gray(hu)).any(axis=0) for hu in slices.hu], axis=0)
    )
    if not len(columns):
        return slices
    cut = columns[0] + round(share * (columns[-1] + 1 - columns[0]))
    return replace(
        slices,
        hu=np.ascontiguousarray(slices.hu[:, :, cut:]),
        masks=np.ascontiguousarray(slices.masks[:, :, cut:]),
        pixel_mm=slices.pixel_mm if knows_size else None,
    )


def rotate(slices: Slices, degrees: float) -> Slices:
    """Turn the head clockwise about the middle of the slices; what comes into view is air."""
    height, width = slices.hu.shape[1:]
    middle = (width - 1) / 2, (height - 1) / 2
    warp = make_warp(head_to_slice_affine(middle, -degrees, 1, (height, width)), (height, width))
    masks = [(warp(255 * mask) > 127).astype(np.uint8) for mask in slices.masks]
    return replace(
        slices, hu=np.stack([warp_hu(warp, hu) for hu in slices.hu]), masks=np.stack(masks)
    )


def add_noise(slices: Slices, deviation: float, seed: int = 0) -> Slices:
    """Add noise of such a standard deviation in HU, with the grain of a CT's."""
    rng = np.random.default_rng(seed)
    noisy = slices.hu.copy()
    for hu in noisy:
        grain = rng.standard_normal(hu.shape, np.float32)
        grain = cv2.GaussianBlur(grain, (0, 0), _GRAIN_PX)
        hu += np.rint(grain * (deviation / grain.std())).astype(np.int16)
    return replace(slices, hu=noisy)


def thicken(slices: Slices, weight: float) -> Slices:
    """Mix each slice with those beside it, as one that is thicker shows them.

    Args:
        slices (Slices): The slices, 5 mm apart.
        weight (float): Of either neighbour: 0.25 for 10 mm, 1/3 for 15 mm. The first and the last
            slice stand for what is missing beyond.
    """
    hu = slices.hu.astype(np.float32)
    below, above = hu[[0, *range(len(hu) - 1)]], hu[[*range(1, len(hu)), len(hu) - 1]]
    mixed = (1 - 2 * weight) * hu + weight * (below + above)
    return replace(slices, hu=np.rint(mixed).astype(np.int16))


@dataclass(frozen=True)
class Trial:
    """Slices as they would come to a user.

    Args:
        name (str): What was done to them.
        strength (str): How much of it.
        steps (tuple): Of doing it.
        lone (bool): Whether each slice stands alone. Defaults to False: with the scan.
    """

    name: str
    strength: str = ''
    steps: tuple[Degradation, ...] = ()
    lone: bool = False

    def apply(self, slices: Slices) -> Slices:
        """Take all steps."""
        for step in self.steps:
            slices = step(slices)
        return slices


CLEAN = Trial('none, whole scan')
_AS_BRAIN = partial(show, shown=BRAIN, taken=BRAIN)
_AS_ESTIMATED = partial(show, shown=BRAIN, taken=None)
_WINDOWS = tuple(Window(*each) for each in ((30, 80), (50, 150)))


def _trials() -> tuple[Trial, ...]:
    trials = [
        CLEAN,
        Trial('one slice alone', lone=True),
        Trial(
            'alone, 512 pixels, size not known',
            '',
            (_AS_BRAIN, partial(resize, side=512)),
            lone=True,
        ),
        Trial('no bone window', '-20 to 100 HU', (_AS_BRAIN,)),
        Trial('no bone window, estimated', '-20 to 100 HU', (_AS_ESTIMATED,)),
    ]
    for shown in _WINDOWS:
        strength = f'level {shown.level:g}, width {shown.width:g}'
        for name, taken in (('taken for 40, 120', BRAIN), ('told', shown), ('estimated', None)):
            step = partial(show, shown=shown, taken=taken)
            trials.append(Trial(f'picture of another window, {name}', strength, (step,)))
    for side in (200, 512, 1024):
        steps = (_AS_BRAIN, partial(resize, side=side))
        trials.append(Trial('picture resized, pixel size not known', f'{side} pixels', steps))
    for share in (0.05, 0.1, 0.2):
        step = partial(crop, share=share)
        trials.append(Trial('side cut off, pixel size not known', f'{share:.0%}', (step,)))
    step = partial(crop, share=0.2, knows_size=True)
    trials.append(Trial('side cut off', '20%', (step,)))
    trials += [
        Trial('rotation', f'{angle} degrees', (partial(rotate, degrees=angle),))
        for angle in (20, 45)
    ]
    trials += [
        Trial('noise', f'{deviation} HU', (partial(add_noise, deviation=deviation),))
        for deviation in (10, 20)
    ]
    trials.append(Trial('thicker slices', '15 mm', (partial(thicken, weight=1 / 3),)))
    trials += [
        Trial('JPEG', f'quality {quality}', (partial(compress, quality=quality),))
        for quality in (50, 10)
    ]
    for shown in (Window(30, 80), Window(50, 150)):
        strength = f'level {shown.level:g}, width {shown.width:g}, 10%'
        for name, taken in (('taken for 40, 120', BRAIN), ('told', shown), ('estimated', None)):
            steps = (partial(crop, share=0.1), partial(show, shown=shown, taken=taken))
            trials.append(Trial(f'alone, another window, {name}, cut', strength, steps, lone=True))
    return tuple(trials)


TRIALS = _trials()
