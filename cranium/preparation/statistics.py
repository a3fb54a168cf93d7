"""What is in a data set: the counts, sizes and intensities that a careful researcher asks for."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from cranium.preparation.collection import Collection, Item, read_image, read_mask
from cranium.preparation.source import Source
from cranium.slices import HEMORRHAGE_TYPES, IGNORE_INDEX, MASKED, UNLABELLED
from cranium.splits import ROLES, count

REGIONS = ('image', 'head', 'hemorrhage')
PERCENTILES = (0.5, 5, 25, 50, 75, 95, 99.5)

# Above the ringing that JPEG leaves in the air around the head.
_AIR = 10
_BATCH = 32


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of a slice.

    Args:
        item (Item): The slice.
        pixels (int): Pixels that are labelled.
        lesions (tuple[int, ...]): Pixels of each lesion: each region of hemorrhage whose pixels
            touch at a side or a corner, within this slice.
    """

    item: Item
    pixels: int
    lesions: tuple[int, ...]

    @property
    def hemorrhage_pixels(self) -> int:
        """Pixels of all lesions."""
        return sum(self.lesions)


@dataclass
class Measurements:
    """Measured slices, and how often each gray value occurs.

    Args:
        slices (list[Measured]): The slices.
        histograms (dict): By (split, region), the counts of gray values, (channels, 256).
    """

    slices: list[Measured] = field(default_factory=list)
    histograms: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)

    def add(self, other: 'Measurements') -> None:
        """Add what was measured elsewhere."""
        self.slices += other.slices
        for key, histogram in other.histograms.items():
            self.histograms[key] = self.histograms.get(key, 0) + histogram


def measure(
    collection: Collection, progress: Callable[[int], None] = lambda done: None
) -> Measurements:
    """Measure every slice; memory does not grow with their pixels.

    Args:
        collection (Collection): From :func:`cranium.preparation.collection.open_collection`.
        progress (Callable): Called with the number of slices done since the last call.
    """
    from joblib import Parallel, delayed  # slow to import

    total = Measurements()
    results = Parallel(batch_size=1, return_as='generator')(
        delayed(_measure_batch)(collection.source, collection.mask_threshold, batch)
        for batch in _batches(collection.items)
    )
    for result in results:
        total.add(result)
        progress(len(result.slices))
    return total


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    items = iter(items)
    while batch := list(islice(items, _BATCH)):
        yield batch


def _measure_batch(source: Source, threshold: int, batch: Sequence[Item]) -> Measurements:
    total = Measurements()
    for item in batch:
        image = read_image(source, item.image)
        mask = read_mask(source, item, threshold, image.shape[:2])
        regions = {'image': np.ones(mask.shape, bool), 'head': head_region(image[..., 0])}
        regions['hemorrhage'] = mask == 1
        histograms = {
            (item.split, name): histogram_of(image, region) for name, region in regions.items()
        }
        labelled = int(np.count_nonzero(mask != IGNORE_INDEX))
        total.add(Measurements([Measured(item, labelled, lesion_sizes(mask == 1))], histograms))
    return total


def histogram_of(image: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Count the gray values of a region.

    Args:
        image (np.ndarray): (height, width, channels), uint8.
        region (np.ndarray): (height, width), bool.

    Returns:
        np.ndarray: (channels, 256), int64.
    """
    inside = image[region]
    return np.stack([np.bincount(channel, minlength=256) for channel in inside.T])


def head_region(image: np.ndarray) -> np.ndarray:
    """Find the head: the largest region that is not air, with what it encloses.

    It is found at half the resolution, which is four times faster and as good for an intensity
    fingerprint.

    Args:
        image (np.ndarray): (height, width), uint8, brain or bone window.

    Returns:
        np.ndarray: (height, width), bool.
    """
    from scipy import ndimage  # slow to import

    regions, number = ndimage.label(image[::2, ::2] > _AIR)
    if number == 0:
        return np.zeros(image.shape, bool)
    largest = np.bincount(regions.ravel())[1:].argmax() + 1
    head = ndimage.binary_fill_holes(regions == largest)
    return head.repeat(2, axis=0).repeat(2, axis=1)[: image.shape[0], : image.shape[1]]


def lesion_sizes(mask: np.ndarray) -> tuple[int, ...]:
    """Measure the lesions of a slice.

    Args:
        mask (np.ndarray): (height, width), bool.

    Returns:
        tuple[int, ...]: Pixels of each connected region (with corners: 8-connectivity), sorted.
    """
    from scipy import ndimage  # slow to import

    if not mask.any():
        return ()
    regions, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    return tuple(sorted(np.bincount(regions.ravel())[1:].tolist()))


def describe_histogram(histogram: np.ndarray) -> dict[str, float | None]:
    """Return mean, standard deviation and percentiles of gray values.

    Args:
        histogram (np.ndarray): (256,), counts.

    Returns:
        dict[str, float | None]: None for each where the histogram is empty.
    """
    names = [f'p{percent:g}' for percent in PERCENTILES]
    total = int(histogram.sum())
    if total == 0:
        return dict.fromkeys(['mean', 'std', *names])
    values = np.arange(256)
    mean = float((histogram * values).sum() / total)
    variance = float((histogram * (values - mean) ** 2).sum() / total)
    reached = np.cumsum(histogram)
    ranks = [int(np.searchsorted(reached, total * percent / 100)) for percent in PERCENTILES]
    return {'mean': mean, 'std': variance**0.5, **dict(zip(names, ranks))}


def summarize(collection: Collection, measurements: Measurements) -> dict:
    """Turn measurements into the report that is written as JSON, text, Markdown and figure."""
    slices = measurements.slices
    splits = [name for name in ('all', *ROLES) if any(it.item.split == name for it in slices)]
    return {
        'source': collection.source.name,
        'prepared': collection.prepared,
        'mask_threshold': collection.mask_threshold,
        'classes': {
            'all': _classes(slices),
            **{name: _classes([it for it in slices if it.item.split == name]) for name in splits},
        },
        'splits': {
            name: count(it.item.case for it in slices if it.item.split == name) for name in splits
        },
        'contents': {
            name: _contents([it for it in slices if it.item.split == name]) for name in splits
        },
        'protocol': collection.protocol,
        'folds': collection.folds,
        'unlabelled_slices': sum(it.item.label == UNLABELLED for it in slices),
        'types': _types(slices),
        'type_combinations': _type_combinations(slices),
        'lesions': _lesions(slices),
        'lesion_pixels': sorted(size for it in slices for size in it.lesions),
        'people': _people(collection),
        'intensity': _intensity(measurements, splits),
        'normalization': _normalization(measurements, splits),
    }


def _classes(slices: Sequence[Measured]) -> dict[str, dict[str, float]]:
    pixels = sum(it.pixels for it in slices)
    hemorrhage = sum(it.hemorrhage_pixels for it in slices)
    percent = 100 * hemorrhage / pixels if pixels else 0.0
    return {
        'background': {
            'slices': sum(it.pixels > it.hemorrhage_pixels for it in slices),
            'percent': 100 - percent,
        },
        'hemorrhage': {
            'slices': sum(it.hemorrhage_pixels > 0 for it in slices),
            'percent': percent,
        },
    }


def _contents(slices: Sequence[Measured]) -> dict[str, float | None]:
    """Say of a split how many slices have each type, and how many lesions of which size it has."""
    sizes = _describe([size for it in slices for size in it.lesions])
    return {
        **{name: sum(name in it.item.types for it in slices) for name in HEMORRHAGE_TYPES},
        'hemorrhage pixels': sum(it.hemorrhage_pixels for it in slices),
        'lesions': sizes['number'],
        'median lesion': sizes['median'],
    }


def _types(slices: Sequence[Measured]) -> dict[str, dict]:
    """By type: patients, slices, with which other types, and pixels where it stands alone."""
    types = {}
    for name in HEMORRHAGE_TYPES:
        having = [it for it in slices if name in it.item.types]
        types[name] = {
            'patients': len({it.item.patient for it in having}),
            'slices': len(having),
            'slices_alone': sum(len(it.item.types) == 1 for it in having),
            'pixels_alone': sum(it.hemorrhage_pixels for it in having if len(it.item.types) == 1),
            'with': {
                other: sum(other in it.item.types for it in having)
                for other in HEMORRHAGE_TYPES
                if other != name
            },
        }
    return types


def _type_combinations(slices: Sequence[Measured]) -> dict[str, dict[str, int]]:
    combinations_seen: dict[str, Counter] = {}
    for it in slices:
        if it.item.types:
            numbers = combinations_seen.setdefault('+'.join(it.item.types), Counter())
            numbers.update(slices=1, pixels=it.hemorrhage_pixels)
    by_slices = sorted(combinations_seen.items(), key=lambda pair: (-pair[1]['slices'], pair[0]))
    return {name: dict(numbers) for name, numbers in by_slices}


def _lesions(slices: Sequence[Measured]) -> dict[str, dict[str, float]]:
    """Describe sizes in pixels: the data set gives no spacing, so there are no millimetres."""
    bleeding = [it for it in slices if it.lesions]
    return {
        'lesions per hemorrhage slice': _describe([len(it.lesions) for it in bleeding]),
        'pixels of a lesion': _describe([size for it in bleeding for size in it.lesions]),
        'hemorrhage pixels of a slice': _describe([it.hemorrhage_pixels for it in bleeding]),
    }


def _people(collection: Collection) -> dict[str, dict]:
    present = {item.patient for item in collection.items}
    bleeding = {item.patient for item in collection.items if item.label == MASKED}
    groups = {'hemorrhage': bleeding, 'none': present - bleeding, 'all': present}
    people = {}
    for group, patients in groups.items():
        known = [collection.people.get(patient, (math.nan, '')) for patient in patients]
        ages = [age for age, _ in known if not math.isnan(age)]
        people[group] = {
            'patients': len(patients),
            'sex': dict(sorted(Counter(sex or 'unknown' for _, sex in known).items())),
            'age': _describe(ages),
            'under_18': sum(age < 18 for age in ages),
        }
    return people


def _describe(values: Sequence[float]) -> dict[str, float | None]:
    names = ('number', 'mean', 'min', 'p5', 'p25', 'median', 'p75', 'p95', 'max')
    if not values:
        return {'number': 0, **dict.fromkeys(names[1:])}
    quantiles = np.percentile(values, [0, 5, 25, 50, 75, 95, 100]).tolist()
    return dict(zip(names, [len(values), float(np.mean(values)), *quantiles]))


def _intensity(measurements: Measurements, splits: Sequence[str]) -> dict[str, dict]:
    """Describe each region over all splits, of the first channel."""
    return {
        region: {
            **describe_histogram(_merge(measurements, splits, region)[0]),
            'histogram': _merge(measurements, splits, region)[0].tolist(),
        }
        for region in REGIONS
    }


def _normalization(measurements: Measurements, splits: Sequence[str]) -> dict:
    """Return mmseg's ``mean`` and ``std``, three channels, of what is trained on."""
    over = ['train'] if 'train' in splits else list(splits)
    described = [describe_histogram(row) for row in _merge(measurements, over, 'image')]
    described = described if len(described) == 3 else described * 3
    return {
        'over': over[0],
        **{name: [round(channel[name], 2) for channel in described] for name in ('mean', 'std')},
    }


def _merge(measurements: Measurements, splits: Sequence[str], region: str) -> np.ndarray:
    return sum(measurements.histograms[split, region] for split in splits)
