"""The ct-ich slices as written by ``tools/prepare_dataset.py``."""

import os
import os.path as osp
import re
from collections.abc import Iterable
from typing import Any

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine import fileio
from mmseg.datasets import BaseSegDataset
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import DATASETS

from .sampler import Draw

PREPARE = 'python tools/prepare_dataset.py'
# The predecessor wrote slice numbers as they came, without leading zeros.
NAME = re.compile(r'(?P<patient>\d{3})_(?P<slice>\d{1,3})')


class CheckLabels(BaseTransform):
    """Refuse a mask that holds anything but the labels of its classes.

    A mask of 0 and 255 is the usual mistake: 255 means *ignore* to mmseg, which would train on
    background alone without a word. So 255 is accepted only where it fills the whole mask: that is
    how a slice that nobody labelled is written.

    Args:
        num_classes (int): Number of classes; labels are below it.
        ignore_index (int): The label of pixels that do not count. Defaults to 255.
    """

    def __init__(self, num_classes: int, ignore_index: int = 255) -> None:
        self.num_classes = num_classes
        self.ignore_index = ignore_index

    def transform(self, results: dict) -> dict:
        """Check ``results['gt_seg_map']``, right after it was loaded.

        Args:
            results (dict): With ``gt_seg_map``, an integer array of shape (H, W), and
                ``seg_map_path``.

        Returns:
            dict: The same, unchanged.

        Raises:
            ValueError: If the mask is not 2-D or holds another label.
        """
        mask, path = results['gt_seg_map'], results['seg_map_path']
        if mask.ndim != 2:
            msg = f'{path} has the shape {mask.shape}; expected one gray channel.'
        elif mask.max() < self.num_classes or (mask == self.ignore_index).all():
            return results
        else:
            labels = np.unique(mask)
            wrong = ', '.join(map(str, labels[labels >= self.num_classes][:5]))
            valid = ', '.join(map(str, range(self.num_classes)))
            msg = f'{path} holds the value {wrong}; expected only {valid}.'
        raise ValueError(
            f'{msg} `{PREPARE} --check` lists the files that are not as they were written, and '
            '`--overwrite` writes them anew; --out names the tree.'
        )


@DATASETS.register_module()
class CraniumDataset(BaseSegDataset):
    """Head-CT slices with hemorrhage masks, one PNG a slice, named ``<patient>_<slice>.png``.

    Each sample carries ``patient`` (str, three digits) and ``slice`` (int) in its metainfo. The
    pipeline receives these as well, and ``scan`` (tuple[str]): the paths of all images of the
    patient in the folder of this one, itself included, ascending by slice number, whether or not
    they are part of this data set.

    Args:
        patients (Iterable[int | str], optional): Keep only the slices of these patients. Defaults
            to None, which keeps all.
        ann_file (str): A text file with a slice a line (``049_001``, or ``train/049_001`` where
            ``data_prefix`` is the folder above), without suffix. Defaults to '', which takes every
            image in the folder.
        img_suffix (str): Suffix of images. Defaults to '.png'.
        seg_map_suffix (str): Suffix of masks. Defaults to '.png'.
        reduce_zero_label (bool): Must stay False, for label 0 is the background class. Defaults
            to False.
        **kwargs: Passed to ``BaseSegDataset``.

    Raises:
        FileNotFoundError: If a folder, the ``ann_file``, an image that it names or a mask is not
            there, or if the folder holds no image.
        ValueError: If a file is not named ``<patient>_<slice>``, a wanted patient is not there,
            ``reduce_zero_label`` is set, the pipeline loads gray images from files that hold both
            windows, or (when a sample is loaded) a mask holds another value than 0 and 1.
    """

    METAINFO = dict(  # noqa: RUF012  (mmengine's protocol)
        classes=('background', 'hemorrhage'), palette=[[0, 0, 0], [220, 20, 60]]
    )

    def __init__(
        self,
        patients: Iterable[int | str] | None = None,
        ann_file: str = '',
        img_suffix: str = '.png',
        seg_map_suffix: str = '.png',
        reduce_zero_label: bool = False,
        **kwargs: Any,
    ) -> None:
        if reduce_zero_label:
            msg = (
                'reduce_zero_label=True would turn the background (label 0) into pixels to ignore; '
                'remove it from the config.'
            )
            raise ValueError(msg)
        self.patients = None if patients is None else {f'{int(p):03d}' for p in patients}
        self._scans: dict[tuple[str, str], tuple[str, ...]] = {}
        self._hemorrhage: tuple[Any, np.ndarray] | None = None
        super().__init__(
            ann_file=ann_file,
            img_suffix=img_suffix,
            seg_map_suffix=seg_map_suffix,
            reduce_zero_label=False,
            **kwargs,
        )
        self._check_labels_when_loaded()

    def load_data_list(self) -> list[dict]:
        """List the slices and check that all files are there.

        Returns:
            list[dict]: ``BaseSegDataset``'s records and, in each, ``patient`` and ``slice``.
        """
        self._check_folders()
        data_list = [self._identify(record) for record in super().load_data_list()]
        if not data_list:
            where = self.ann_file or self.data_prefix['img_path']
            msg = (
                f'{where} names no {self.img_suffix} image; expected prepared slices: `{PREPARE}`.'
            )
            raise FileNotFoundError(msg)
        self._check_files(data_list)
        self._check_windows(data_list[0]['img_path'])
        self._list_scans({osp.dirname(record['img_path']) for record in data_list})
        return self._keep_patients(data_list)

    def get_data_info(self, idx: int) -> dict:
        """Look up the record of a slice.

        Args:
            idx (int): Index of the slice.

        Returns:
            dict: ``BaseSegDataset``'s record, ``patient``, ``slice`` and ``scan``.
        """
        record = super().get_data_info(idx)
        # Added here, for a list in each record would make the records many times as large.
        folder = osp.dirname(record['img_path'])
        return record | dict(scan=self._scans[folder, record['patient']])

    def has_hemorrhage(self) -> np.ndarray:
        """Tell which slices show hemorrhage, by their masks.

        The masks are read at the first call, which refuses one that was not written by Cranium.

        Returns:
            np.ndarray: Of bool, one for each index. A slice that nobody labelled has False.

        Raises:
            ValueError: If the data set has no masks, or one holds another value than 0 and 1.
        """
        self.full_init()
        # mmengine replaces this when it makes a subset, of which the answer would be another one.
        records = self.data_address if self.serialize_data else self.data_list
        if self._hemorrhage is None or self._hemorrhage[0] is not records:
            self._hemorrhage = records, self._read_hemorrhage()
        return self._hemorrhage[1].copy()

    def prepare_data(self, idx: int) -> Any:
        """Run the pipeline on a slice and note which slice it is.

        Args:
            idx (int): Index of the slice. If it is a ``Draw``, every transform that draws from
                ``random`` or ``np.random`` does the same to it each time, in any process.

        Returns:
            Any: What the pipeline returns.
        """
        record = self.get_data_info(int(idx))
        if isinstance(idx, Draw):
            idx.seed_transforms()
            record['draw'] = idx.number
        identity = {key: record[key] for key in ('patient', 'slice')}
        results = self.pipeline(record | dict(dataset=self))  # some look at other slices
        samples = results.get('data_samples', []) if isinstance(results, dict) else []
        for sample in samples if isinstance(samples, list) else [samples]:
            sample.set_metainfo(identity)
        return results

    def _list_scans(self, folders: set[str]) -> None:
        for folder in folders:
            scans: dict[str, list[tuple[int, str]]] = {}
            for name in _files(folder):
                match = NAME.fullmatch(name.removesuffix(self.img_suffix))
                if match and name.endswith(self.img_suffix):
                    scans.setdefault(match['patient'], []).append((int(match['slice']), name))
            for patient, slices in scans.items():
                self._scans[folder, patient] = tuple(
                    osp.join(folder, name) for _, name in sorted(slices)
                )

    def _read_hemorrhage(self) -> np.ndarray:
        check = CheckLabels(len(self.metainfo['classes']), self.ignore_index)
        # Most masks are empty and so the same few bytes, which need no second decoding.
        known: dict[bytes, bool] = {}
        found = np.zeros(len(self), bool)
        for index in range(len(self)):
            path = super().get_data_info(index).get('seg_map_path')
            if path is None:
                msg = (
                    f'{self.data_prefix["img_path"]} was given without masks, so nothing says '
                    'which slices show hemorrhage; expected data_prefix.seg_map_path.'
                )
                raise ValueError(msg)
            content = fileio.get(path, backend_args=self.backend_args)
            if content not in known:
                mask = _decode(content)
                check.transform(dict(gt_seg_map=mask, seg_map_path=path))
                known[content] = bool(((mask > 0) & (mask != self.ignore_index)).any())
            found[index] = known[content]
        return found

    def _check_labels_when_loaded(self) -> None:
        # In here and not in the configs, so that a user's own pipeline is checked as well.
        check = CheckLabels(len(self.metainfo['classes']), self.ignore_index)
        for pipeline in [
            self.pipeline,
            *(sub for step in self.pipeline.transforms for sub in getattr(step, 'subroutines', ())),
        ]:
            for index, step in reversed(list(enumerate(pipeline.transforms))):
                if isinstance(step, LoadAnnotations):
                    pipeline.transforms.insert(index + 1, check)

    def _check_folders(self) -> None:
        folders = [self.data_prefix.get(key) for key in ('img_path', 'seg_map_path')]
        for folder in filter(None, folders):
            if not osp.isdir(folder):
                msg = f'{folder} is not a folder; expected the prepared slices: `{PREPARE}`.'
                raise FileNotFoundError(msg)
        if self.ann_file and not osp.isfile(self.ann_file):
            msg = f'{self.ann_file} is not there; expected a text file with a slice a line.'
            raise FileNotFoundError(msg)

    def _identify(self, record: dict) -> dict:
        path = record['img_path']
        match = NAME.fullmatch(osp.basename(path).removesuffix(self.img_suffix))
        if match is None:
            msg = (
                f'{path} is not named <patient>_<slice>{self.img_suffix}, as in '
                f'049_001{self.img_suffix}; move it elsewhere, or prepare the slices: `{PREPARE}`.'
            )
            raise ValueError(msg)
        return record | dict(patient=match['patient'], slice=int(match['slice']))

    def _check_files(self, data_list: list[dict]) -> None:
        present: dict[str, set[str]] = {}
        for record in data_list:
            for key in ('img_path', 'seg_map_path'):
                if key not in record:
                    continue
                folder, name = osp.split(record[key])
                if folder not in present:
                    present[folder] = _files(folder)
                if name not in present[folder]:
                    what = 'image' if key == 'img_path' else f'mask of {record["img_path"]}'
                    msg = f'{record[key]} is not there; expected the {what}: `{PREPARE}`.'
                    raise FileNotFoundError(msg)

    def _check_windows(self, path: str) -> None:
        steps = self.pipeline.transforms
        if all(getattr(step, 'color_type', None) != 'grayscale' for step in steps):
            return
        image = _decode(fileio.get(path, backend_args=self.backend_args))
        if image.ndim == 3 and (image[..., 0] != image[..., 1]).any():
            msg = (
                f'{path} holds the brain and the bone window, which loading it as grayscale would '
                f'blend into one; expected one window: `{PREPARE} --window brain --overwrite`.'
            )
            raise ValueError(msg)

    def _keep_patients(self, data_list: list[dict]) -> list[dict]:
        if self.patients is None:
            return data_list
        there = {record['patient'] for record in data_list}
        if missing := sorted(self.patients - there):
            msg = (
                f'{self.data_prefix["img_path"]} has no patient {", ".join(missing)}; '
                f'it has {", ".join(sorted(there))}.'
            )
            raise ValueError(msg)
        return [record for record in data_list if record['patient'] in self.patients]


def _decode(content: bytes) -> np.ndarray:
    return mmcv.imfrombytes(content, flag='unchanged', backend='pillow')


def _files(folder: str) -> set[str]:
    # One listing of a folder is far cheaper than a stat of each of its files on a network disk.
    return set(os.listdir(folder)) if osp.isdir(folder) else set()
