"""The slices of a prepared tree."""

import os
import os.path as osp
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, cast

import mmcv
import numpy as np
from mmcv.transforms import Compose, LoadImageFromFile
from mmengine import fileio
from mmseg.datasets import BaseSegDataset
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import DATASETS
from numpy.typing import NDArray

from cranium.errors import CraniumError
from cranium.slices import PIXEL_MM, parse_slice_name, patient_name

from .gray import GrayChannels
from .masks import PREPARE, CheckLabels
from .records import list_scans, manifest_records
from .sample import Sample, SliceFiles
from .sampler import Draw, slices_of_patients
from .scan import LoadScan


@DATASETS.register_module()
class CraniumDataset(BaseSegDataset):
    """Head-CT slices with hemorrhage masks, one PNG per slice, named ``<patient>_<slice>.png``.

    Where ``data_root`` holds a ``manifest.csv``, that tells patient, slice, hemorrhage and the pose
    of the head. In a tree made by hand the names of the files tell patient and slice, and what else
    is needed is read from the images and masks.

    Slices come in the order of patient and slice number. ``data_prefix=dict(img_path='images',
    seg_map_path='masks')`` takes the slices of all splits below, of which ``patients`` can choose.

    A sample (see :class:`~cranium.datasets.sample.Sample`) first goes through ``load``, then
    through ``pipeline``. A transform of the pipeline that combines slices, ``PasteHemorrhage``,
    gets other slices as ``load`` leaves them.

    Args:
        patients (Iterable[int | str] | int | str, optional): Keep only the slices of these
            patients. Defaults to None, which keeps all.
        load (Sequence[dict]): Transforms that load a slice. Defaults to (), where the pipeline
            does it.
        ann_file (str): A text file with one slice per line (``049_001``, or ``train/049_001`` where
            ``data_prefix`` is the folder above), without suffix, which also gives the order.
            Defaults to '', which takes every image in the folder.
        img_suffix (str): Suffix of images. Defaults to '.png'.
        seg_map_suffix (str): Suffix of masks. Defaults to '.png'.
        reduce_zero_label (bool): Must stay False, for label 0 is the background class.
        **kwargs: Passed to ``BaseSegDataset``.

    Raises:
        FileNotFoundError: A folder, the ``ann_file``, an image that it names or a mask is missing,
            or the folder holds no image.
        CraniumError: A file is not named ``<patient>_<slice>``, a wanted patient is not there,
            ``reduce_zero_label`` is set, the pipeline loads images of gray values from files of
            HU, or (when a sample is loaded) a mask holds another value than 0 and 1.
    """

    METAINFO = dict(  # noqa: RUF012  (mmengine's protocol)
        classes=('background', 'hemorrhage'), palette=[[0, 0, 0], [220, 20, 60]]
    )

    def __init__(
        self,
        patients: Iterable[int | str] | int | str | None = None,
        load: Sequence[dict[str, Any]] = (),
        img_suffix: str = '.png',
        seg_map_suffix: str = '.png',
        reduce_zero_label: bool = False,
        **kwargs: Any,
    ) -> None:
        if reduce_zero_label:
            msg = 'reduce_zero_label=True would ignore the background; remove it from the config'
            raise CraniumError(msg)
        if isinstance(patients, int | str):
            patients = [patients]
        self.patients = None if patients is None else set(map(patient_name, patients))
        self.load = Compose(load)
        self._scans: dict[tuple[str, str], dict[int, SliceFiles]] = {}
        self._hemorrhage: tuple[Any, NDArray[np.bool_]] | None = None
        self._bleeding: tuple[Any, list[NDArray[np.int64]]] | None = None
        suffixes = dict(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix)
        super().__init__(reduce_zero_label=False, **suffixes, **kwargs)
        self._label_check = CheckLabels(len(self.metainfo['classes']), self.ignore_index)
        self._check_labels_when_loaded()
        self._read_once()

    def load_data_list(self) -> list[dict[str, Any]]:
        """List the slices and check that all files are there.

        Returns:
            list[dict]: ``BaseSegDataset``'s records with ``patient``, ``slice`` and ``pixel_mm``
            and, from the manifest, ``hemorrhage``, ``head_center``, ``head_angle`` and
            ``voxel_mm``.
        """
        self._check_folders()
        data_list: list[dict[str, Any]] = super().load_data_list()
        if not data_list:
            where = self.ann_file or self.data_prefix['img_path']
            msg = f'{where} names no {self.img_suffix} image; expected prepared slices: `{PREPARE}`'
            raise FileNotFoundError(msg)
        known = manifest_records(self.data_root) if self.data_root else {}
        for record in data_list:
            in_tree = osp.relpath(record['img_path'], self.data_root or '.')
            record['pixel_mm'] = PIXEL_MM
            record.update(known.get(in_tree) or self._parse(record['img_path']))
        if not self.ann_file:
            data_list.sort(key=lambda record: (record['patient'], record['slice']))
        self._check_files(data_list)
        self._check_gray(data_list[0]['img_path'])
        self._list_scans(data_list)
        return self._keep_patients(data_list)

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Look up the record of a slice: ``load_data_list``'s, and ``scan``."""
        record: dict[str, Any] = super().get_data_info(idx)
        # Added here, as a scan in each record would make the records many times as large.
        folder = osp.dirname(record['img_path'])
        return record | dict(scan=self._scans[folder, record['patient']])

    def has_hemorrhage(self) -> NDArray[np.bool_]:
        """Tell which slices show hemorrhage.

        The manifest says it; without one all masks are read at the first call.

        Returns:
            ndarray: One bool for each index; False for slices without labels.

        Raises:
            CraniumError: The data set has no masks, or one holds another value than 0 and 1.
        """
        self.full_init()
        # mmengine replaces this when it makes a subset, for which the answer is another one.
        records = self.data_address if self.serialize_data else self.data_list
        if self._hemorrhage is None or self._hemorrhage[0] is not records:
            seen: dict[bytes, bool] = {}
            infos = (super(CraniumDataset, self).get_data_info(i) for i in range(len(self)))
            found = [
                info['hemorrhage'] if 'hemorrhage' in info else self._read_hemorrhage(info, seen)
                for info in infos
            ]
            self._hemorrhage = records, np.array(found, bool)
        return self._hemorrhage[1].copy()

    def begin(self, idx: int, progress: float = 1.0) -> Sample:
        """Begin the sample of a slice, which ``load`` and ``pipeline`` have not seen.

        Args:
            idx (int): Index of the slice.
            progress (float): Share of the training that is over. Defaults to 1.

        Returns:
            Sample: With what is written by ``CraniumDataset``.
        """
        sample = cast(Sample, self.get_data_info(idx))
        sample['progress'] = progress
        sample['draw_donor'] = lambda: self._draw_donor(progress)
        return sample

    def prepare_data(self, idx: int) -> Any:
        """Load a slice, run the pipeline on it and note which slice it is.

        Args:
            idx (int): Index of the slice. If it is a ``Draw``, every transform that draws from
                ``random`` or ``np.random`` does the same to it each time, in any process.

        Returns:
            Any: What the pipeline returns.
        """
        if isinstance(idx, Draw):
            idx.seed_transforms()
        sample = self.begin(int(idx), idx.progress if isinstance(idx, Draw) else 1.0)
        identity = {key: sample[key] for key in ('patient', 'slice', 'voxel_mm') if key in sample}
        results = self.pipeline(self.load(sample))
        samples = results.get('data_samples', []) if isinstance(results, dict) else []
        for packed in samples if isinstance(samples, list) else [samples]:
            packed.set_metainfo(identity)
        return results

    def _draw_donor(self, progress: float) -> Sample:
        """Load a random slice with hemorrhage; the patient is drawn before the slice."""
        donors = self._donors()
        if not donors:
            msg = f'{self.data_prefix["img_path"]} has no slice with hemorrhage to paste from'
            raise CraniumError(f'{msg}; remove PasteHemorrhage from the config')
        index = np.random.choice(donors[np.random.randint(len(donors))])
        return cast(Sample, self.load(self.begin(int(index), progress)))

    def _donors(self) -> list[NDArray[np.int64]]:
        """Indices of slices with hemorrhage, an array for each patient who has some."""
        has_hemorrhage = self.has_hemorrhage()
        if self._bleeding is None or self._bleeding[0] is not self._hemorrhage:
            self._bleeding = self._hemorrhage, slices_of_patients(self, has_hemorrhage)
        return self._bleeding[1]

    def _parse(self, path: str) -> dict[str, Any]:
        try:
            patient, number = parse_slice_name(osp.basename(path).removesuffix(self.img_suffix))
        except CraniumError as error:
            form = '<patient>_<slice>' + self.img_suffix
            raise CraniumError(f'{path} is not named {form}; move it elsewhere') from error
        return dict(patient=patient, slice=number)

    def _list_scans(self, data_list: list[dict[str, Any]]) -> None:
        """Find all slices of the scans, also those that are not part of this data set."""
        masks = {record['img_path']: record.get('seg_map_path') for record in data_list}
        for folder in {osp.dirname(path) for path in masks}:
            names = [name for name in _files(folder) if name.endswith(self.img_suffix)]
            for patient, files in list_scans(folder, names, masks).items():
                self._scans[folder, patient] = files

    def _read_hemorrhage(self, record: dict[str, Any], seen: dict[bytes, bool]) -> bool:
        if 'seg_map_path' not in record:
            msg = (
                f'{self.data_prefix["img_path"]} was given without masks, so nothing says which '
                'slices show hemorrhage; set data_prefix.seg_map_path'
            )
            raise CraniumError(msg)
        # Most masks are empty and so the same bytes, which need no second decoding.
        content = fileio.get(record['seg_map_path'], backend_args=self.backend_args)
        if content not in seen:
            mask = _decode(content)
            self._label_check.check(mask, record['seg_map_path'])
            seen[content] = bool(((mask > 0) & (mask != self.ignore_index)).any())
        return seen[content]

    def _check_labels_when_loaded(self) -> None:
        # In here and not in the configs, so that a user's own pipeline is checked as well.
        branches = (sub for s in self.pipeline.transforms for sub in getattr(s, 'subroutines', ()))
        for pipeline in (self.load, self.pipeline, *branches):
            for index, step in reversed(list(enumerate(pipeline.transforms))):
                if isinstance(step, LoadAnnotations):
                    pipeline.transforms.insert(index + 1, self._label_check)

    def _read_once(self) -> None:
        # In a test pipeline for HU, LoadImageFromFile stands for mmseg's inference alone: LoadScan
        # reads by path, and keeps what is a neighbour as well.
        steps = self.pipeline.transforms
        if any(isinstance(step, LoadScan) for step in steps):
            steps[:] = [step for step in steps if not isinstance(step, LoadImageFromFile)]

    def _check_folders(self) -> None:
        for folder in filter(None, map(self.data_prefix.get, ('img_path', 'seg_map_path'))):
            if not osp.isdir(folder):
                msg = f'{folder} is not a folder; expected the prepared slices: `{PREPARE}`'
                if folder == self.data_prefix.get('seg_map_path'):
                    msg += '; for masks of slices that have none: `cranium predict`'
                raise FileNotFoundError(msg)
        if self.ann_file and not osp.isfile(self.ann_file):
            msg = f'{self.ann_file} is missing; expected a text file with one slice per line'
            raise FileNotFoundError(msg)

    def _check_files(self, data_list: list[dict[str, Any]]) -> None:
        files = lru_cache(None)(_files)
        for record in data_list:
            for key, what in (('img_path', 'image'), ('seg_map_path', 'mask')):
                folder, name = osp.split(record.get(key, ''))
                if name and name not in files(folder):
                    of = '' if key == 'img_path' else f' of {record["img_path"]}'
                    msg = f'{record[key]} is missing; expected the {what}{of}: `{PREPARE}`'
                    raise FileNotFoundError(msg)

    def _check_gray(self, path: str) -> None:
        steps = (*self.load.transforms, *self.pipeline.transforms)
        if not any(
            isinstance(step, GrayChannels)
            or (isinstance(step, LoadImageFromFile) and step.color_type != 'unchanged')
            for step in steps
        ):
            return
        if _decode(fileio.get(path, backend_args=self.backend_args)).dtype != np.uint8:
            msg = (
                f'{path} holds Hounsfield units in 16 bits, of which LoadImageFromFile would keep '
                f'8; expected gray values: `{PREPARE} --window brain --overwrite`'
            )
            raise CraniumError(msg)

    def _keep_patients(self, data_list: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if self.patients is None:
            return data_list
        there = {record['patient'] for record in data_list}
        if missing := sorted(self.patients - there):
            msg = f'{self.data_prefix["img_path"]} has no patient {", ".join(missing)}'
            raise CraniumError(f'{msg}; it has {", ".join(sorted(there))}')
        return [record for record in data_list if record['patient'] in self.patients]


def _decode(content: bytes) -> NDArray[Any]:
    image: NDArray[Any] = mmcv.imfrombytes(content, flag='unchanged', backend='pillow')
    return image


def _files(folder: str) -> set[str]:
    # One listing of a folder is far cheaper than a stat of each of its files on a network disk.
    return set(os.listdir(folder)) if osp.isdir(folder) else set()
