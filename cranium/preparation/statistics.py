"""What is in a data set: the counts, sizes and intensities that a careful researcher asks for."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from cranium.head import head_mask
from cranium.preparation.collection import Collection, cases_of, read_image, read_mask
from cranium.slices import HEMORRHAGE_TYPES, IGNORE_INDEX, MASKED, UNLABELLED
from cranium.splits import ROLES, SLICE_WARNING, count

PERCENTILES = (0.5, 5, 25, 50, 75, 95, 99.5)
COUNTS = ['patients', 'slices', 'hemorrhage_patients', 'hemorrhage_slices']


class Table(NamedTuple):
    """Figures for readers, a name for each row in the index, and what a reader has to know."""

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
        histograms (dict[str, list[int]]): Counts of gray values, of the first channel, in the whole
            ``image``, the ``head`` and the ``hemorrhage``.
    """

    source: str
    tables: dict[str, Table]
    normalization: dict[str, Any]
    lesions: list[int]
    histograms: dict[str, list[int]]


def describe(
    collection: Collection, progress: Callable[[int], None] = lambda done: None
) -> Statistics:
    """Measure every slice and count; memory does not grow with the pixels.

    ``progress`` is called with the number of slices done since the last call.
    """
    from joblib import Parallel, delayed  # slow to import

    slices = collection.slices.copy()
    splits = [name for name in ('all', *ROLES) if (slices['split'] == name).any()]
    over = 'train' if 'train' in splits else splits[0]
    bare = replace(collection, slices=slices[:0])  # what each process needs to read
    measured = Parallel(batch_size=32, return_as='generator')(
        delayed(_measure)(bare, *row)
        for row in zip(slices['image'], slices['mask'], slices['label'])
    )
    pixels, lesions = [], []
    histograms: defaultdict[str, Any] = defaultdict(int)
    for split, (labelled, sizes, counts) in zip(slices['split'], measured):
        pixels.append(labelled)
        lesions.append(sizes)
        for region, histogram in counts.items():
            histograms[region] = histograms[region] + histogram
        if split == over:
            histograms['trained on'] = histograms['trained on'] + counts['image']
        progress(1)
    slices['pixels'] = pixels
    slices['lesions'] = pd.Series(lesions, slices.index)
    slices['hemorrhage'] = list(map(sum, lesions))
    channels = [describe_histogram(channel) for channel in histograms.pop('trained on')]
    normalization = {
        name: [round(each[name], 2) for each in (channels if len(channels) == 3 else channels * 3)]
        for name in ('mean', 'std')
    }
    gray = {region: histogram[0] for region, histogram in histograms.items()}
    intensity = Table(
        'Intensities',
        _frame({region: describe_histogram(counts) for region, counts in gray.items()}),
        'Gray values 0 to 255. The head is the largest region that is not air, filled.',
    )
    return Statistics(
        source=collection.source.name,
        tables={**_tables(collection, slices, splits), 'intensity': intensity},
        normalization={'over': over, **normalization},
        lesions=sorted(size for sizes in lesions for size in sizes),
        histograms={region: counts.tolist() for region, counts in gray.items()},
    )


def _measure(
    collection: Collection, image_member: str, mask_member: str, label: str
) -> tuple[int, list[int], dict[str, NDArray[np.int64]]]:
    """Return the labelled pixels, the lesions and, by region, (C, 256) counts of gray values."""
    image = read_image(collection.source, image_member)
    mask = read_mask(collection, mask_member, label, image.shape[:2])
    regions = {
        'image': np.ones(mask.shape, bool),
        'head': head_mask(image[..., 0]),
        'hemorrhage': mask == 1,
    }
    histograms = {name: histogram_of(image, region) for name, region in regions.items()}
    return int(np.count_nonzero(mask != IGNORE_INDEX)), lesion_sizes(mask == 1), histograms


def histogram_of(image: NDArray[np.uint8], region: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count the gray values of a region (H, W) of an image (H, W, C); returns (C, 256)."""
    return np.stack([np.bincount(channel, minlength=256) for channel in image[region].T])


def lesion_sizes(mask: NDArray[np.bool_]) -> list[int]:
    """Measure each region of a mask (H, W) that is connected by sides or corners, in pixels."""
    if not mask.any():
        return []  # most masks, and labelling takes its time
    regions, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    return sorted(np.bincount(regions.ravel())[1:].tolist())


def describe_histogram(histogram: NDArray[np.int64]) -> dict[str, float]:
    """Return mean, standard deviation and percentiles of (256,) gray values; nan where none."""
    names = ['mean', 'std', *(f'p{percent:g}' for percent in PERCENTILES)]
    if not histogram.any():
        return dict.fromkeys(names, np.nan)
    values = np.arange(256)
    mean = float(np.average(values, weights=histogram))
    variance = float(np.average((values - mean) ** 2, weights=histogram))
    reached = np.cumsum(histogram)
    ranks = np.searchsorted(reached, reached[-1] * np.array(PERCENTILES) / 100)
    return dict(zip(names, [mean, variance**0.5, *ranks.tolist()]))


def _tables(collection: Collection, slices: pd.DataFrame, splits: list[str]) -> dict[str, Table]:
    by_split = {name: slices[slices['split'] == name] for name in splits}
    protocol = collection.protocol
    warning = f' Warning: {SLICE_WARNING}.' if collection.prepared and protocol == 'slice' else ''
    tables = {
        'classes': Table(
            'Classes',
            _classes({'all': slices, **by_split}),
            '`Num` is the number of slices that have the class, `Pct` its percentage of all '
            f'pixels. A mask pixel is hemorrhage above {collection.mask_threshold}.',
        ),
        'splits': Table(
            'Splits',
            _frame({name: count(cases_of(rows)) for name, rows in by_split.items()}),
            f'Unlabelled slices: {(slices["label"] == UNLABELLED).sum()}.{warning}',
        ),
        'contents': Table(
            'Types and lesions by split',
            _frame({name: _contents(rows) for name, rows in by_split.items()}),
            'Types in slices, sizes in pixels.',
        ),
        'folds': Table(
            f'Folds ({protocol} protocol)',
            pd.DataFrame(collection.folds, columns=['fold', *COUNTS]).set_index('fold'),
        ),
        'types': Table(
            'Hemorrhage types and their overlaps',
            _types(slices),
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


def _frame(rows: dict[str, dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame.from_dict(rows, orient='index')


def _classes(splits: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The table that READMEs of mmseg's projects have, for all and for each split."""
    columns: dict[str, list[float]] = {}
    for split, slices in splits.items():
        hemorrhage, pixels = slices['hemorrhage'], slices['pixels']
        percent = 100 * hemorrhage.sum() / max(pixels.sum(), 1)
        columns[f'Num. {split.title()}'] = [(pixels > hemorrhage).sum(), (hemorrhage > 0).sum()]
        columns[f'Pct. {split.title()}'] = [100 - percent, percent]
    return pd.DataFrame(columns, pd.Index(['background', 'hemorrhage'], name='Class Name'))


def _having(slices: pd.DataFrame) -> pd.DataFrame:
    """Which slice has which type."""
    having = slices['types'].str.get_dummies('+')
    return having.reindex(columns=[*HEMORRHAGE_TYPES], fill_value=0).astype(bool)


def _contents(slices: pd.DataFrame) -> dict[str, float]:
    lesions = slices['lesions'].explode().dropna().astype(float)
    return {
        **_having(slices).sum(),
        'hemorrhage pixels': slices['hemorrhage'].sum(),
        'lesions': len(lesions),
        'median lesion': lesions.median(),
    }


def _types(slices: pd.DataFrame) -> pd.DataFrame:
    having = _having(slices)
    rows = {}
    for kind in HEMORRHAGE_TYPES:
        those = having[having[kind]]
        alone = those.index[those.sum(axis=1) == 1]
        rows[kind] = {
            'patients': slices.loc[those.index, 'patient'].nunique(),
            'slices': len(those),
            'alone': len(alone),
            'pixels alone': slices.loc[alone, 'hemorrhage'].sum(),
            **those.sum().astype(float).drop(kind).reindex(HEMORRHAGE_TYPES).add_prefix('with '),
        }
    return _frame(rows)


def _combinations(slices: pd.DataFrame) -> pd.DataFrame:
    rows = pd.DataFrame({'slices': 1, 'pixels': slices['hemorrhage']}).groupby(slices['types'])
    combined = rows.sum().drop(index='', errors='ignore')
    return combined.sort_values('slices', ascending=False, kind='stable')


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
    return _frame(
        {
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
    )
