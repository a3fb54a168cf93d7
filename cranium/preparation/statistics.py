"""What is in a data set: the counts, sizes and intensities that a careful researcher asks for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from cranium.preparation.collection import Collection, read_image, read_mask
from cranium.slices import HEMORRHAGE_TYPES, IGNORE_INDEX, MASKED, UNLABELLED, split_types
from cranium.splits import ROLES, SLICE_WARNING

REGIONS = ('image', 'head', 'hemorrhage')
PERCENTILES = (0.5, 5, 25, 50, 75, 95, 99.5)

# Above the ringing that JPEG leaves in the air around the head.
_AIR = 10
_BATCH = 32

Histogram = NDArray[np.int64]


@dataclass
class Measurements:
    """Measured slices, and how often each gray value occurs.

    Args:
        pixels (list[int]): Of each slice the pixels that are labelled.
        lesions (list[list[int]]): Of each slice the pixels of its lesions, see
            :func:`lesion_sizes`.
        histograms (dict): By (split, region), the counts of gray values, (channels, 256).
    """

    pixels: list[int] = field(default_factory=list)
    lesions: list[list[int]] = field(default_factory=list)
    histograms: dict[tuple[str, str], Histogram] = field(default_factory=dict)

    def add(self, other: 'Measurements') -> None:
        """Add what was measured elsewhere."""
        self.pixels += other.pixels
        self.lesions += other.lesions
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

    slices = collection.slices
    batches = [slices[start : start + _BATCH] for start in range(0, len(slices), _BATCH)]
    total = Measurements()
    for measured in Parallel(batch_size=1, return_as='generator')(
        delayed(_measure_batch)(collection, batch) for batch in batches
    ):
        total.add(measured)
        progress(len(measured.pixels))
    return total


def _measure_batch(collection: Collection, slices: pd.DataFrame) -> Measurements:
    total = Measurements()
    for row in slices.itertuples():
        image = read_image(collection.source, str(row.image))
        mask = read_mask(collection, row, image.shape[:2])
        regions = (np.ones(mask.shape, bool), head_region(image[..., 0]), mask == 1)
        histograms = {
            (str(row.split), name): histogram_of(image, region)
            for name, region in zip(REGIONS, regions)
        }
        labelled = int(np.count_nonzero(mask != IGNORE_INDEX))
        total.add(Measurements([labelled], [lesion_sizes(mask == 1)], histograms))
    return total


def histogram_of(image: NDArray[np.uint8], region: NDArray[np.bool_]) -> Histogram:
    """Count the gray values of a region.

    Args:
        image (ndarray): (H, W, C), uint8.
        region (ndarray): (H, W), bool.

    Returns:
        ndarray: (C, 256), int64.
    """
    return np.stack([np.bincount(channel, minlength=256) for channel in image[region].T])


def head_region(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Find the head: the largest region that is not air, with what it encloses.

    It is found at half the resolution, which is four times faster and as good for an intensity
    fingerprint.

    Args:
        image (ndarray): (H, W), uint8, brain or bone window.

    Returns:
        ndarray: (H, W), bool.
    """
    regions, number = ndimage.label(image[::2, ::2] > _AIR)
    if number == 0:
        return np.zeros(image.shape, bool)
    largest = np.bincount(regions.ravel())[1:].argmax() + 1
    head: NDArray[np.bool_] = ndimage.binary_fill_holes(regions == largest)
    return head.repeat(2, axis=0).repeat(2, axis=1)[: image.shape[0], : image.shape[1]]


def lesion_sizes(mask: NDArray[np.bool_]) -> list[int]:
    """Measure the lesions of a slice.

    Args:
        mask (ndarray): (H, W), bool.

    Returns:
        list[int]: Sorted pixels of each region that is connected by sides or corners.
    """
    regions, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    return sorted(np.bincount(regions.ravel())[1:].tolist())


def describe_histogram(histogram: Histogram) -> dict[str, float]:
    """Return mean, standard deviation and percentiles of gray values.

    Args:
        histogram (ndarray): (256,), counts.

    Returns:
        dict[str, float]: nan for each where the histogram is empty.
    """
    names = [f'p{percent:g}' for percent in PERCENTILES]
    total = int(histogram.sum())
    if total == 0:
        return dict.fromkeys(['mean', 'std', *names], np.nan)
    values = np.arange(256)
    mean = float((histogram * values).sum() / total)
    variance = float((histogram * (values - mean) ** 2).sum() / total)
    reached = np.cumsum(histogram)
    ranks = [float(np.searchsorted(reached, total * percent / 100)) for percent in PERCENTILES]
    return {'mean': mean, 'std': variance**0.5, **dict(zip(names, ranks))}


class Table(NamedTuple):
    """A table for readers.

    Attributes:
        title (str): Its title.
        rows (DataFrame): The figures; the index names the rows.
        note (str): What a reader has to know.
    """

    title: str
    rows: pd.DataFrame
    note: str = ''


@dataclass(frozen=True)
class Statistics:
    """What is in a data set.

    Args:
        source (str): What the data set is called.
        tables (dict[str, Table]): Tables by key.
        normalization (dict): mmseg's ``mean`` and ``std``, three channels, and the split that they
            are ``over``: what is trained on.
        lesions (list[int]): Pixels of every lesion.
        histograms (dict[str, list[int]]): By region, counts of gray values of the first channel.
    """

    source: str
    tables: dict[str, Table]
    normalization: dict[str, Any]
    lesions: list[int]
    histograms: dict[str, list[int]]


def summarize(collection: Collection, measured: Measurements) -> Statistics:
    """Turn measurements into what is printed, written and drawn."""
    slices = collection.slices.assign(
        types=collection.slices['types'].map(split_types),
        pixels=measured.pixels,
        lesions=pd.Series(measured.lesions, collection.slices.index),
        hemorrhage=list(map(sum, measured.lesions)),
    )
    splits = {name: slices[slices['split'] == name] for name in ('all', *ROLES)}
    splits = {name: rows for name, rows in splits.items() if len(rows)}
    histograms = {
        region: sum(measured.histograms[split, region] for split in splits)[0]  # type: ignore[index]
        for region in REGIONS
    }
    return Statistics(
        source=collection.source.name,
        tables=_tables(collection, slices, splits)
        | {
            'intensity': Table(
                'Intensities',
                pd.DataFrame({name: describe_histogram(h) for name, h in histograms.items()}).T,
                'Gray values 0 to 255. The head is the largest region that is not air, filled.',
            )
        },
        normalization=_normalization(measured, list(splits)),
        lesions=sorted(slices['lesions'].explode().dropna().astype(int)),
        histograms={region: histogram.tolist() for region, histogram in histograms.items()},
    )


def _tables(
    collection: Collection, slices: pd.DataFrame, splits: dict[str, pd.DataFrame]
) -> dict[str, Table]:
    protocol = collection.protocol
    warning = f' Warning: {SLICE_WARNING}.' if collection.prepared and protocol == 'slice' else ''
    tables = {
        'classes': Table(
            'Classes',
            _classes({'all': slices, **splits}),
            '`Num` is the number of slices that have the class, `Pct` its percentage of all '
            f'pixels. A mask pixel is hemorrhage above {collection.mask_threshold}.',
        ),
        'splits': Table(
            'Splits',
            pd.DataFrame({name: _count(rows) for name, rows in splits.items()}).T,
            f'Unlabelled slices: {(slices["label"] == UNLABELLED).sum()}.{warning}',
        ),
        'contents': Table(
            'Types and lesions by split',
            pd.DataFrame({name: _contents(rows) for name, rows in splits.items()}).T,
            'Types in slices, sizes in pixels.',
        ),
        'folds': Table(
            f'Folds ({protocol} protocol)',
            pd.DataFrame(collection.folds, columns=['fold', *_COUNTS]).set_index('fold'),
        ),
        'types': Table(
            'Hemorrhage types and their overlaps',
            pd.DataFrame({name: _type(slices, name) for name in HEMORRHAGE_TYPES}).T,
            '`alone`: slices with no other type. A mask does not say which type a pixel is.',
        ),
        'type_combinations': Table('Combinations of types', _combinations(slices)),
        'lesions': Table(
            'Lesions',
            _lesions(slices),
            'A lesion is a region of hemorrhage, connected by sides or corners, within one slice. '
            'Sizes are in pixels, as the data set gives no pixel spacing.',
        ),
        'people': Table('Patients', _people(slices), 'Ages in years.'),
    }
    return {key: table for key, table in tables.items() if len(table.rows)}


_COUNTS = ('patients', 'slices', 'hemorrhage_patients', 'hemorrhage_slices')


def _count(slices: pd.DataFrame) -> dict[str, int]:
    bleeding = slices[slices['label'] == MASKED]
    counts = (
        slices['patient'].nunique(),
        len(slices),
        bleeding['patient'].nunique(),
        len(bleeding),
    )
    return dict(zip(_COUNTS, counts))


def _classes(splits: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The table that the predecessor's README has, for all and for each split."""
    rows: dict[str, dict[str, float]] = {'background': {}, 'hemorrhage': {}}
    for split, slices in splits.items():
        share = slices['hemorrhage'].sum() / max(slices['pixels'].sum(), 1)
        with_background = (slices['pixels'] > slices['hemorrhage']).sum()
        for name, number, percent in (
            ('background', with_background, 100 * (1 - share)),
            ('hemorrhage', (slices['hemorrhage'] > 0).sum(), 100 * share),
        ):
            rows[name] |= {f'Num. {split.title()}': number, f'Pct. {split.title()}': percent}
    return pd.DataFrame(rows).T.rename_axis('Class Name')


def _has_type(slices: pd.DataFrame, name: str) -> 'pd.Series[bool]':
    return slices['types'].map(lambda types: name in types).astype(bool)


def _contents(slices: pd.DataFrame) -> dict[str, float]:
    lesions = slices['lesions'].explode().dropna().astype(float)
    return {
        **{name: _has_type(slices, name).sum() for name in HEMORRHAGE_TYPES},
        'hemorrhage pixels': slices['hemorrhage'].sum(),
        'lesions': len(lesions),
        'median lesion': lesions.median(),
    }


def _type(slices: pd.DataFrame, name: str) -> dict[str, float]:
    having = slices[_has_type(slices, name)]
    alone = having[having['types'].map(len) == 1]
    return {
        'patients': having['patient'].nunique(),
        'slices': len(having),
        'alone': len(alone),
        'pixels alone': alone['hemorrhage'].sum(),
        **{
            f'with {other}': np.nan if other == name else _has_type(having, other).sum()
            for other in HEMORRHAGE_TYPES
        },
    }


def _combinations(slices: pd.DataFrame) -> pd.DataFrame:
    combined = slices['types'].map('+'.join)
    rows = pd.DataFrame({'slices': 1, 'pixels': slices['hemorrhage']}).groupby(combined).sum()
    rows = rows.drop(index='', errors='ignore').rename_axis('types')
    return rows.sort_values('slices', ascending=False, kind='stable')


def _lesions(slices: pd.DataFrame) -> pd.DataFrame:
    bleeding = slices[slices['hemorrhage'] > 0]
    values = {
        'lesions per hemorrhage slice': bleeding['lesions'].map(len),
        'pixels of a lesion': bleeding['lesions'].explode(),
        'hemorrhage pixels of a slice': bleeding['hemorrhage'],
    }
    quantiles = [0.05, 0.25, 0.5, 0.75, 0.95]
    rows = {name: column.astype(float).describe(quantiles) for name, column in values.items()}
    return pd.DataFrame(rows).T.drop(columns='std')


def _people(slices: pd.DataFrame) -> pd.DataFrame:
    people = slices.groupby('patient').first()
    bleeding = people.index.isin(slices[slices['label'] == MASKED]['patient'])
    people['sex'] = people['sex'].replace('', 'unknown').str.lower()
    groups = {'with hemorrhage': people[bleeding], 'without': people[~bleeding], 'all': people}
    rows = {
        name: {
            'patients': len(group),
            **{sex: (group['sex'] == sex).sum() for sex in sorted(people['sex'].unique())},
            'youngest': group['age'].min(),
            'median age': group['age'].median(),
            'oldest': group['age'].max(),
            'under 18': (group['age'] < 18).sum(),
        }
        for name, group in groups.items()
    }
    return pd.DataFrame(rows).T


def _normalization(measured: Measurements, splits: Sequence[str]) -> dict[str, Any]:
    over = 'train' if 'train' in splits else splits[0]
    described = [describe_histogram(row) for row in measured.histograms[over, 'image']]
    described = described if len(described) == 3 else described * 3
    means, deviations = zip(*((round(d['mean'], 2), round(d['std'], 2)) for d in described))
    return {'over': over, 'mean': list(means), 'std': list(deviations)}
