import hashlib
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pydicom.data
import pytest
from PIL import Image

from cranium.errors import CraniumError
from cranium.scans.find import find_scans, read_scan
from cranium.windows import Window
from tests.dicom_files import CORONAL, PATIENT, change, tilted, write_enhanced, write_series

OWN_FILES = Path(pydicom.data.__file__).parent / 'test_files'


def some_hu(slices=3, height=6, width=5, start=-1000):
    count = slices * height * width
    return (start + np.arange(count) % 2000).astype(np.int16).reshape(slices, height, width)


def name_of(series):
    return f'series-{hashlib.sha256(series.encode()).hexdigest()[:8]}'


@pytest.fixture
def work(tmp_path):
    folder = tmp_path / 'work'
    folder.mkdir()
    return folder


@pytest.fixture
def scans(tmp_path):
    folder = tmp_path / 'scans'
    folder.mkdir()
    return folder


def write_picture(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 4), value, np.uint8)).save(path)
    return path


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


class TestDicom:
    def test_series_are_told_apart_by_their_uid(self, scans, work):
        """Not by folders or names of files."""
        files = write_series(scans / 'a', some_hu(3), series='1.2.3.4')
        others = write_series(scans / 'b', some_hu(2), series='1.2.3.5')
        moved = others[0].rename(scans / 'a/0.dcm')
        found, faults = find_scans([scans], work)
        assert not faults
        assert {scan.name: set(scan.files) for scan in found} == {
            name_of('1.2.3.4'): set(files),
            name_of('1.2.3.5'): {moved, others[1]},
        }
        assert [scan.source for scan in found] == [str(scans), str(scans / 'a')]
        assert all(scan.kind == 'dicom' and not scan.remarks for scan in found)

    def test_a_lone_file_is_one_slice_if_it_was_named(self, scans, work):
        files = write_series(scans, some_hu(3))
        ((found,), _) = find_scans([files[1]], work)
        assert found.files == (files[1],) and found.source == str(files[1])
        scan = read_scan(found)
        assert scan.hu.shape[0] == 1 and 'one slice alone' in scan.remarks[0]
        ((found,), _) = find_scans([scans], work)
        assert found.files == tuple(files) and found.source == str(scans)

    def test_files_that_were_named_one_by_one_are_one_series(self, scans, work):
        """As by `*.dcm`."""
        files = write_series(scans, some_hu(3))
        ((found,), faults) = find_scans(files, work)
        assert found.files == tuple(files) and not faults

    def test_what_was_named_twice(self, scans, work):
        files = write_series(scans, some_hu(3))
        found, faults = find_scans([scans, files[0], scans], work)
        assert [scan.files for scan in found] == [tuple(files)] and not faults

    def test_copies_are_scans_of_their_own_with_names_of_their_own(self, scans, work):
        write_series(scans / 'a', some_hu(3))
        write_series(scans / 'b', some_hu(3))
        found, _ = find_scans([scans / 'a', scans / 'b'], work)
        name = name_of('1.2.3.4')
        assert [scan.name for scan in found] == [name, f'{name}-2']

    def test_localizers_and_dose_reports_are_left_out(self, scans, work):
        write_series(scans, some_hu(3))
        for number, tags in enumerate(
            [
                {'ImageType': ['ORIGINAL', 'PRIMARY', 'LOCALIZER']},
                {'SOPClassUID': '1.2.840.10008.5.1.4.1.1.7'},
                {'SOPClassUID': '1.2.840.10008.5.1.4.1.1.88.67'},
            ]
        ):
            write_series(scans / str(number), some_hu(1), series=f'1.2.{number}', **tags)
        ((found,), faults) = find_scans([scans], work)
        assert not faults and len(found.files) == 3
        assert found.remarks == (
            'files of its study that are no axial CT slices: 3 (Secondary Capture Image Storage, '
            'X-Ray Radiation Dose SR Storage, a localizer)',
        )

    def test_an_index_of_a_disc_is_litter_by_any_name(self, scans, work):
        write_series(scans, some_hu(3))
        shutil.copy(OWN_FILES / 'dicomdirtests/DICOMDIR', scans / 'index.dcm')
        ((found,), faults) = find_scans([scans], work)
        assert not found.remarks and not faults

    def test_nothing_but_localizers(self, scans, work):
        """Another study beside has a scan; this one has none."""
        localizer = {'ImageType': ['ORIGINAL', 'PRIMARY', 'LOCALIZER'], 'StudyInstanceUID': '1.9'}
        files = write_series(scans / 'a', some_hu(2), series='1.2', **localizer)
        write_series(scans / 'b', some_hu(3))
        ((found,), (fault,)) = find_scans([scans], work)
        assert not found.remarks and fault.source == str(files[0])
        assert fault.message == (
            f'{files[0]} and 1 more: a localizer, not CT slices; name a series of these'
        )

    def test_a_localizer_that_does_not_say_so(self, scans, work):
        files = write_series(scans, some_hu(3))
        write_series(scans / 'b', some_hu(1, 9, 9), orientation=CORONAL)
        ((found,), faults) = find_scans([scans], work)
        assert found.files == tuple(files) and not faults
        assert found.remarks == ('slices of another angle, left out as localizers would be: 1',)

    def test_a_series_of_two_angles(self, scans, work):
        """The gantry was tilted for the skull's base alone."""
        base = write_series(scans / 'a', some_hu(3), orientation=tilted(15))
        above = write_series(scans / 'b', some_hu(4), positions=[(0, 0, z) for z in range(40, 44)])
        found, faults = find_scans([scans], work)
        name = name_of('1.2.3.4')
        assert not faults
        assert {scan.name: scan.files for scan in found} == {
            f'{name}-1': tuple(above),
            f'{name}-2': tuple(base),
        }
        assert found[0].remarks[0].startswith('part 2 of 2 of its series, which holds several')
        assert [len(read_scan(scan).hu) for scan in found] == [3, 4]

    @pytest.mark.parametrize(
        ('other', 'what'),
        [
            ({'hu': some_hu(2, 8, 8)}, '8 x 8 pixels of 0.5 x 0.5 mm'),
            ({'spacing': (0.4, 0.5)}, '6 x 5 pixels of 0.4 x 0.5 mm'),
        ],
        ids=['size', 'spacing'],
    )
    def test_mixed_sizes(self, scans, work, other, what):
        """The larger part is a scan, the rest a fault."""
        files = write_series(scans / 'a', some_hu(3))
        options = {'hu': some_hu(2), 'positions': [(0, 0, 50), (0, 0, 55)], **other}
        misfits = write_series(scans / 'b', **options)
        ((found,), (fault,)) = find_scans([scans], work)
        assert found.files == tuple(files)
        assert fault.message == (
            f'{misfits[0]} and 1 more: {what}, where most of the series has 6 x 5 pixels of 0.5 x '
            '0.5 mm; put the slices of each kind into a folder of their own'
        )

    @pytest.mark.parametrize('key', ['AcquisitionNumber', 'TemporalPositionIdentifier'])
    def test_phases(self, scans, work, key):
        for phase in (1, 2):
            write_series(scans / str(phase), some_hu(3, start=phase), **{key: phase})
        found, faults = find_scans([scans], work)
        assert not faults
        assert [scan.source for scan in found] == [str(scans / '1'), str(scans / '2')]
        for scan in found:
            assert scan.remarks[0].startswith('part ') and len(read_scan(scan).hu) == 3

    def test_phases_that_nothing_tells_apart(self, scans, work):
        """An acquisition for each slice, as step and shoot counts them, is no phase."""
        for phase in (1, 2):
            for file in write_series(scans / str(phase), some_hu(3, start=phase)):
                change(file, AcquisitionNumber=phase * 10 + int(file.stem))
        ((found,), _) = find_scans([scans], work)
        assert len(found.files) == 6
        with pytest.raises(CraniumError, match=r'001.dcm: at the position of 001.dcm, and another'):
            read_scan(found)

    def test_enhanced_files_are_a_scan_each(self, scans, work):
        for name in 'ab':
            write_enhanced(scans / f'{name}.dcm', some_hu(3))
        found, _ = find_scans([scans], work)
        assert [scan.source for scan in found] == [str(scans / 'a.dcm'), str(scans / 'b.dcm')]

    @pytest.mark.parametrize(
        ('kernels', 'preferred'),
        [
            (('STANDARD', 'BONEPLUS'), 0),
            (('H60s', 'H31s'), 1),
            (('FC30', 'FC21'), 1),
            (('A', 'B'), None),
        ],
    )
    def test_twins_by_two_kernels(self, scans, work, kernels, preferred):
        for number, kernel in enumerate(kernels):
            series = f'1.2.{number}'
            write_series(scans / str(number), some_hu(3), series=series, ConvolutionKernel=kernel)
        found, _ = find_scans([scans], work)
        for number, scan in enumerate(found):
            other = name_of(f'1.2.{1 - number}')
            advice = f'prefer {name_of(f"1.2.{preferred}")}, the smoother one'
            assert scan.remarks == (
                f'the same slices as {other}, whose kernel is {kernels[1 - number]}; '
                + (advice if preferred is not None else 'prefer the smoother one'),
            )

    @pytest.mark.parametrize(
        'other',
        [{'FrameOfReferenceUID': '1.7'}, {'distance': 4}, {'ConvolutionKernel': 'STANDARD'}],
        ids=str,
    )
    def test_no_twins(self, scans, work, other):
        write_series(scans / 'a', some_hu(3), ConvolutionKernel='STANDARD')
        options = {'series': '1.9', 'ConvolutionKernel': 'BONE', **other}
        write_series(scans / 'b', some_hu(3), **options)
        found, _ = find_scans([scans], work)
        assert len(found) == 2 and not any(scan.remarks for scan in found)

    def test_no_twins_where_nobody_knows_how_two_series_lie(self, scans, work):
        for kernel in ('STANDARD', 'BONE'):
            options = {'FrameOfReferenceUID': None, 'ConvolutionKernel': kernel}
            write_series(scans / kernel, some_hu(3), series=f'1.9.{len(kernel)}', **options)
        found, _ = find_scans([scans], work)
        assert len(found) == 2 and not any(scan.remarks for scan in found)

    def test_a_broken_file_is_a_fault_and_the_rest_a_scan(self, scans, work):
        files = write_series(scans, some_hu(4))
        change(files[1], PixelSpacing=None)
        change(files[2], PixelSpacing=None)
        ((found,), (fault,)) = find_scans([scans], work)
        assert found.files == (files[0], files[3])
        assert fault.source == str(files[1])
        assert fault.message.startswith(f'{files[1]} and 1 more: no PixelSpacing')

    def test_a_text_that_is_named_dcm(self, scans, work):
        (scans / 'x.dcm').write_text('not a scan')
        _, (fault,) = find_scans([scans], work)
        assert fault.message.startswith(f'{scans}/x.dcm: neither DICOM nor')

    def test_nothing_of_the_patient_is_said(self, scans, work):
        """Whatever is found, said or raised."""
        files = write_series(scans / 'a', some_hu(3), ConvolutionKernel='Doe^Jane')
        write_series(scans / 'b', some_hu(3), series='1.2.3.9', BodyPartExamined='Doe^Jane')
        write_series(scans / 'c', some_hu(2, 9, 9))
        write_series(scans / 'd', some_hu(1), SOPClassUID='1.2.3.99', Modality='Doe^Jane')
        change(files[1], RescaleType='Doe^Jane')
        found, faults = find_scans([scans], work)
        texts = [text for scan in found for text in (scan.name, *scan.remarks)]
        texts += [text for scan in found for text in read_scan(scan).remarks]
        texts += [fault.message.replace(str(scans), '') for fault in faults]
        assert len(found) == 2 and len(faults) == 1
        for secret in PATIENT:
            assert not [text for text in texts if secret in text]

    @pytest.mark.parametrize(
        'file',
        sorted(file for file in OWN_FILES.rglob('*') if file.is_file()),
        ids=lambda file: file.relative_to(OWN_FILES).as_posix(),
    )
    def test_the_files_of_pydicoms_own_tests(self, work, file):
        """A CT is a scan; every other file is told in one line what it is."""
        found, faults = find_scans([file], work)
        assert len(found) + len(faults) == 1
        ct = {'693_J2KI', 'CT_small', 'J2K_pixelrep_mismatch'}
        if found:
            assert file.stem in ct or file.parent.name in ('CT2', 'CT5N')
            scan = read_scan(found[0])
            assert scan.geometry is not None and -1024 <= scan.hu.min() < scan.hu.max() < 3072
        else:
            assert file.stem not in ct
            assert faults[0].message.startswith(f'{file}: ') and '\n' not in faults[0].message


class TestPictures:
    def test_slices_of_a_patient(self, scans, work):
        """By the number of the slice, not as a text."""
        for name in ('050_2.png', '049_010.png', '049_9.jpg', 'x.jpeg', '049_9_HGE_Seg.jpg'):
            write_picture(scans / name)
        found, faults = find_scans([scans], work)
        assert not faults
        assert {scan.name: [file.name for file in scan.files] for scan in found} == {
            '049': ['049_9.jpg', '049_010.png'],
            '050_2': ['050_2.png'],
            'x': ['x.jpeg'],
        }

    def test_a_folder_of_numbers(self, scans, work):
        for number in (1, 2, 10):
            write_picture(scans / 'head one' / f'{number}.jpg', number)
        ((found,), _) = find_scans([scans], work)
        assert found.name == 'head-one' and found.source == str(scans / 'head one')
        assert [file.stem for file in found.files] == ['1', '2', '10']
        assert read_scan(found, Window(127.5, 255)).hu[:, 0, 0].tolist() == [1, 2, 10]

    def test_numbers_beside_other_names_are_pictures_each(self, scans, work):
        for name in ('1.png', '2.png', 'photo.png'):
            write_picture(scans / name)
        found, _ = find_scans([scans], work)
        assert [scan.name for scan in found] == ['1', '2', 'photo']

    def test_ct_ich_as_it_is_downloaded(self, scans, work):
        """The bone window shows the same slices."""
        for patient in ('049', '050'):
            for number in (1, 2):
                for window in ('brain', 'bone'):
                    write_picture(scans / 'Patients_CT' / patient / window / f'{number}.jpg')
            write_picture(scans / 'Patients_CT' / patient / 'brain/1_HGE_Seg.jpg')
        found, _ = find_scans([scans], work)
        assert [scan.name for scan in found] == ['049', '050']
        assert [len(scan.files) for scan in found] == [2, 2]

    def test_a_prepared_tree(self, scans, work):
        for folder in ('images', 'masks'):
            write_picture(scans / folder / 'val/049_001.png')
        found, _ = find_scans([scans], work)
        assert [scan.source for scan in found] == [str(scans / 'images/val/049_001.png')]

    def test_a_mask_of_ct_ich_that_was_named(self, scans, work):
        mask = write_picture(scans / '1_HGE_Seg.jpg')
        found, (fault,) = find_scans([mask], work)
        assert (
            not found and fault.message == f'{mask}: a mask of ct-ich, not a scan; name its slice'
        )

    def test_a_mask_that_was_named_is_read(self, scans, work):
        """By its folder it would be left out."""
        write_picture(scans / 'images/049_001.png')
        mask = write_picture(scans / 'masks/049_001.png')
        found, _ = find_scans([mask], work)
        assert [scan.files for scan in found] == [(mask,)]


class TestFolders:
    def test_litter_is_skipped_and_the_unknown_is_counted(self, scans, work):
        write_series(scans, some_hu(2))
        touch(scans / '.DS_Store', scans / 'Thumbs.db', scans / 'DICOMDIR', scans / '__MACOSX/x')
        touch(scans / 'notes.txt', scans / 'b/table.csv')
        ((found,), faults) = find_scans([scans], work)
        assert not faults
        assert found.remarks == ('other files there, which are no scans: 2',)

    def test_nothing_in_it(self, scans, work):
        touch(scans / 'notes.txt')
        assert [fault.message for fault in find_scans([scans], work)[1]] == [
            f'{scans}: no scan in it; name DICOM, NIfTI, PNG or JPEG, or their folder'
        ]

    def test_a_named_file_that_is_no_scan(self, scans, work):
        touch(scans / 'notes.txt')
        found, (fault,) = find_scans([scans / 'notes.txt', write_picture(scans / 'a.png')], work)
        assert len(found) == 1 and fault.message.startswith(f'{scans}/notes.txt: neither DICOM nor')

    def test_what_is_not_there(self, scans, work):
        _, (fault,) = find_scans([scans / 'nowhere'], work)
        assert fault.message.startswith(f'{scans}/nowhere: no such file or folder')

    def test_loops_and_pipes_hang_nothing(self, scans, work):
        write_picture(scans / 'a/x.png')
        (scans / 'a/loop').symlink_to(scans)
        (scans / 'a/broken.png').symlink_to(scans / 'nowhere')
        os.mkfifo(scans / 'a/pipe.dcm')
        found, faults = find_scans([scans], work)
        assert [scan.name for scan in found] == ['x'] and not faults

    def test_the_order_is_that_of_the_inputs_and_then_of_paths(self, scans, work):
        for name in ('b/x.png', 'b/a.nii.gz', 'a/y.png', 'c.NII'):
            touch(scans / name)
        found, _ = find_scans([scans / 'c.NII', scans / 'b', scans / 'a'], work)
        assert [(scan.name, scan.kind) for scan in found] == [
            ('c', 'nifti'),
            ('a', 'nifti'),
            ('x', 'pictures'),
            ('y', 'pictures'),
        ]

    def test_names_are_unique_and_fit(self, scans, work):
        for name in ('a/Jürgen  K.png', 'b/x.png', 'c/X.png', 'd/x-2.png', 'e/~.png'):
            touch(scans / name)
        found, _ = find_scans([scans], work)
        assert [scan.name for scan in found] == ['J-rgen-K', 'x', 'X-2', 'x-2-2', 'scan']

    def test_a_folder_that_may_not_be_read(self, scans, work, monkeypatch):
        write_picture(scans / 'a/x.png')
        write_picture(scans / 'b/x.png')
        scandir = os.scandir

        def refuse(path):
            if str(path).endswith('/a'):
                raise PermissionError(13, 'Permission denied', str(path))
            return scandir(path)

        monkeypatch.setattr('os.scandir', refuse)
        found, (fault,) = find_scans([scans], work)
        assert len(found) == 1
        assert fault.message == (
            f'{scans}/a: cannot be read (Permission denied); check its permissions'
        )

    def test_nothing_is_written_beside(self, scans, work):
        write_series(scans / 'a', some_hu(2))
        write_picture(scans / 'b/x.png')
        zip_folder(scans / 'a', scans / 'c.zip')
        before = {path: path.stat().st_mtime_ns for path in scans.rglob('*')}
        for found in find_scans([scans], work)[0]:
            read_scan(found)
        assert {path: path.stat().st_mtime_ns for path in scans.rglob('*')} == before


def zip_folder(folder, path):
    with zipfile.ZipFile(path, 'w') as archive:
        for file in sorted(folder.rglob('*')):
            archive.write(file, file.relative_to(folder.parent))
    return path


class TestZips:
    def test_a_zip_is_searched_as_a_folder(self, scans, work):
        write_series(scans / 'a', some_hu(3))
        path = zip_folder(scans / 'a', scans / 'head.zip')
        shutil.rmtree(scans / 'a')
        for inputs in ([path], [scans]):
            ((found,), faults) = find_scans(inputs, work)
            assert found.name == name_of('1.2.3.4') and found.source == f'{path}:a' and not faults
            scan = read_scan(found)
            assert (scan.hu == some_hu(3)).all() and scan.source == found.source
            assert all(Path(file).is_relative_to(work) for file in scan.files)

    def test_messages_name_the_member(self, scans, work):
        files = write_series(scans / 'a', some_hu(3))
        change(files[0], PixelSpacing=None)
        change(files[1], PixelData=None)
        path = zip_folder(scans / 'a', scans / 'head.zip')
        ((found,), (fault,)) = find_scans([path], work)
        assert fault.source == f'{path}:a/001.dcm'
        assert fault.message.startswith(f'{path}:a/001.dcm: no PixelSpacing')
        with pytest.raises(CraniumError, match=f'^{path}:a/002.dcm: no pixels'):
            read_scan(found)

    def test_pictures_are_called_by_the_zip_that_they_lie_in(self, scans, work):
        for number in (1, 2):
            write_picture(scans / f'brain/{number}.png')
        found, _ = find_scans([zip_folder(scans / 'brain', scans / 'head.zip')], work)
        assert [scan.name for scan in found] == ['head']

    def test_a_dangerous_zip_is_a_fault(self, scans, work):
        with zipfile.ZipFile(scans / 'x.zip', 'w') as archive:
            archive.writestr('../../x', b'x')
        found, (fault,) = find_scans([scans / 'x.zip', write_picture(scans / 'y.png')], work)
        assert len(found) == 1
        assert fault.message.startswith(f"{scans}/x.zip: '../../x' points outside the zip")
        assert not list(work.rglob('x'))

    def test_a_zip_of_too_much(self, scans, work):
        write_series(scans / 'a', some_hu(3))
        path = zip_folder(scans / 'a', scans / 'x.zip')
        _, (fault,) = find_scans([path], work, most_bytes=1000)
        assert fault.message.startswith(f'{path}: unpacks to more than 1e-06 GB')

    def test_a_zip_of_no_scan(self, scans, work):
        touch(scans / 'a/notes.txt')
        path = zip_folder(scans / 'a', scans / 'x.zip')
        _, (fault,) = find_scans([path], work)
        assert fault.message.startswith(f'{path}: no scan in it')


def test_a_scan_takes_name_source_and_remarks_of_what_was_found(scans, work):
    write_series(scans, some_hu(3), ContrastBolusAgent='x')
    touch(scans / 'notes.txt')
    ((found,), _) = find_scans([scans], work)
    scan = read_scan(found)
    assert (scan.name, scan.source) == (found.name, found.source)
    assert scan.remarks == (
        'other files there, which are no scans: 1',
        'with contrast agent, which looks like blood; made for scans without',
    )
