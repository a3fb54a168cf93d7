"""NIfTI: orientation, values, and what is refused."""

import gzip
import itertools

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cranium.errors import CraniumError
from cranium.scans.nifti import read_nifti, read_volume

SPACING = (0.5, 0.4, 5.0)  # right, front, up
SHEAR = 0.3  # to the front for each step up: 16.7 degrees of tilt


def ras(shape, spacing=SPACING, tilt=0.0):
    """Affine of voxels that run to the right, the front and up, centred."""
    affine = np.diag([*spacing, 1.0])
    affine[1, 2] = tilt * spacing[2]
    affine[:3, 3] = [7, -11, 13]
    return affine


def save(path, voxels, affine=None, units='mm', **header):
    image = nibabel.Nifti1Image(voxels, ras(voxels.shape) if affine is None else affine)
    image.header.set_xyzt_units(units)
    for key, value in header.items():
        image.header[key] = value
    nibabel.save(image, path)
    return path


@pytest.fixture
def head():
    """HU to the right, front and up, (X, Y, Z), none like another."""
    values = np.linspace(-1000, 1500, 4 * 5 * 3).round().astype(np.int16)
    return np.random.default_rng(0).permutation(values).reshape(4, 5, 3)


def test_radiological_convention(tmp_path, head):
    """The first pixel of the first slice is right, front and lowest."""
    path = save(tmp_path / 'a.nii.gz', head)
    scan = read_nifti(path)
    assert scan.source == str(path) and scan.files == (str(path),)
    assert scan.hu.shape == (3, 5, 4)
    for n, row, column in np.ndindex(3, 5, 4):
        assert scan.hu[n, row, column] == head[3 - column, 4 - row, n]
    # In DICOM's coordinates: left, back, head.
    assert scan.geometry.corners[0] == pytest.approx([-(7 + 3 * 0.5), -(-11 + 4 * 0.4), 13])
    assert scan.geometry.positions_mm == pytest.approx([13, 18, 23])
    assert scan.geometry.pixel_mm == pytest.approx((0.4, 0.5))
    assert scan.geometry.thickness_mm == pytest.approx([5] * 3)
    assert (scan.name, scan.shape, scan.remarks) == ('a', None, ())


def test_a_tilted_gantry(tmp_path, head):
    """Slices are as they were taken, and closer to each other than their corners."""
    scan = read_nifti(save(tmp_path / 'a.nii', head, ras(head.shape, tilt=SHEAR)))
    assert np.array_equal(scan.hu, read_nifti(save(tmp_path / 'b.nii', head)).hu)
    assert np.diff(scan.geometry.corners, axis=0) == pytest.approx(np.array([[0, -1.5, 5]] * 2))
    assert scan.geometry.thickness_mm == pytest.approx([5] * 3)


@settings(max_examples=60)
@given(
    st.permutations(range(3)),
    st.lists(st.booleans(), min_size=3, max_size=3),
    st.floats(-0.4, 0.4),
)
def test_any_order_of_axes(tmp_path_factory, order, turned, tilt):
    """Stored in any order, the scan is the same, and what is found returns to where it was."""
    rng = np.random.default_rng(0)
    head, affine = rng.integers(-1000, 1000, (4, 5, 3), np.int16), ras((4, 5, 3), tilt=tilt)
    stored, change = head, np.eye(4)
    for axis in itertools.compress(range(3), turned):
        stored = np.flip(stored, axis)
        change[axis, axis], change[axis, 3] = -1, head.shape[axis] - 1
    stored, change = stored.transpose(order), change[:, [*order, 3]]
    folder = tmp_path_factory.mktemp('order')
    plain = read_nifti(save(folder / 'a.nii', head, affine))
    scan = read_nifti(save(folder / 'b.nii', np.ascontiguousarray(stored), affine @ change))
    assert np.array_equal(scan.hu, plain.hu)
    for name in ('corners', 'across', 'down'):
        np.testing.assert_allclose(
            getattr(scan.geometry, name), getattr(plain.geometry, name), atol=1e-4
        )
    assert np.array_equal(scan.restore(scan.hu), stored)


@pytest.mark.parametrize('shape', [(4, 5), (4, 5, 1), (4, 5, 1, 1), (4, 5, 3, 1)])
def test_its_own_shape_returns(tmp_path, head, shape):
    stored = head[:, :, : np.prod(shape) // 20].reshape(shape)
    scan = read_nifti(save(tmp_path / 'a.nii', stored, ras(shape)))
    assert np.array_equal(scan.restore(scan.hu), stored)
    assert scan.geometry.pixel_mm == pytest.approx((0.4, 0.5))


@pytest.mark.parametrize(
    ('units', 'scale'), [('mm', 1), ('micron', 1000), ('meter', 0.001), ('unknown', 1)]
)
def test_units(tmp_path, head, units, scale):
    affine = np.diag([scale, scale, scale, 1]) @ ras(head.shape)
    scan = read_nifti(save(tmp_path / 'a.nii', head, affine, units))
    assert scan.geometry.pixel_mm == pytest.approx((0.4, 0.5))
    assert scan.geometry.positions_mm == pytest.approx([13, 18, 23])


def test_only_a_qform(tmp_path, head):
    path = save(tmp_path / 'a.nii', head, sform_code=0, qform_code=1)
    assert np.array_equal(read_nifti(path).hu, read_nifti(save(tmp_path / 'b.nii', head)).hu)


class TestValues:
    def test_slope_and_intercept(self, tmp_path, head):
        image = nibabel.Nifti1Image(((head + 1024) // 2).astype(np.uint16), ras(head.shape))
        image.header.set_slope_inter(2, -1024)
        nibabel.save(image, tmp_path / 'a.nii.gz')
        scan = read_nifti(tmp_path / 'a.nii.gz')
        assert np.abs(scan.restore(scan.hu) - head).max() <= 1 and scan.remarks == ()

    def test_fractions_are_rounded_and_kept_in_range(self, tmp_path, head):
        values = head.astype(np.float64) + 0.3
        values[0, 0, :2] = 1e6, -1e6
        scan = read_nifti(save(tmp_path / 'a.nii', values))
        head[0, 0, :2] = 32767, -32768
        assert np.array_equal(scan.restore(scan.hu), head)

    def test_nan_is_air(self, tmp_path, head):
        values = head.astype(np.float32)
        values[0], values[1, 0, 0] = np.nan, np.inf
        scan = read_nifti(save(tmp_path / 'a.nii', values))
        head[0] = head[1, 0, 0] = -1000
        assert np.array_equal(scan.restore(scan.hu), head)
        assert scan.remarks == ('16 voxels are no number (NaN); taken for air, -1000 HU',)

    def test_unsigned_and_shifted(self, tmp_path):
        """Air at 24, brain at 1060, a little bone: soft tissue can be nowhere else."""
        values = np.full((10, 10, 2), 24, np.uint16)
        values[2:8, 2:8], values[2] = 1060, 2000
        expected = values.astype(np.int16) - 1024
        scan = read_nifti(save(tmp_path / 'a.nii', values))
        assert np.array_equal(scan.restore(scan.hu), expected)
        assert 'soft tissue lies at 1024' in scan.remarks[0]
        values = values.astype(np.float32)
        values[0, 0], expected[0, 0] = np.nan, -1000
        scan = read_nifti(save(tmp_path / 'b.nii', values))
        assert np.array_equal(scan.restore(scan.hu), expected) and len(scan.remarks) == 2

    def test_nothing_but_air(self, tmp_path):
        values = np.linspace(-1000, -990, 200).reshape(10, 10, 2).round().astype(np.int16)
        scan = read_nifti(save(tmp_path / 'a.nii', values))
        assert np.array_equal(scan.restore(scan.hu), values)

    @pytest.mark.parametrize(
        ('low', 'high', 'message'),
        [
            (0, 1, 'a mask or normalised'),
            (-3.5, 4.2, 'a mask or normalised'),
            (0, 255, 'gray values of a window'),
            (0, 3000, 'none below 0, where air is'),
            (np.nan, np.nan, 'no voxel holds a number'),
        ],
    )
    def test_no_hu(self, tmp_path, low, high, message):
        values = np.linspace(low, high, 200, dtype=np.float32).reshape(10, 10, 2)
        with pytest.raises(CraniumError, match=rf'a\.nii(\.gz)?: .*{message}.*; save the scan'):
            read_nifti(save(tmp_path / 'a.nii', values))


class TestBadInput:
    def refused(self, path, message):
        with pytest.raises(CraniumError, match=rf'a\.nii(\.gz)?: .*{message}') as caught:
            read_nifti(path)
        assert '\n' not in str(caught.value)

    @pytest.mark.parametrize('keep', [0, 100, 348, 400, 0.5, -9, -1])
    def test_truncated(self, tmp_path, keep):
        voxels = np.random.default_rng(0).integers(-1000, 1000, (40, 40, 3), np.int16)
        content = save(tmp_path / 'whole.nii.gz', voxels).read_bytes()
        end = int(keep * len(content)) if isinstance(keep, float) else keep
        (tmp_path / 'a.nii.gz').write_bytes(content[:end])
        self.refused(tmp_path / 'a.nii.gz', 'cannot be read as NIfTI .*; write it again')
        (tmp_path / 'a.nii').write_bytes(gzip.decompress(content)[: end if end else 0])
        self.refused(tmp_path / 'a.nii', 'cannot be read as NIfTI .*; write it again')

    def test_a_damaged_archive(self, tmp_path):
        """All voxels are there, but not what they were: the checksum at the end says so."""
        voxels = np.random.default_rng(0).integers(-1000, 1000, (40, 40, 3), np.int16)
        content = gzip.compress(save(tmp_path / 'a.nii', voxels).read_bytes(), 0)  # as it is
        content = content[:2000] + bytes([content[2000] ^ 1]) + content[2001:]
        (tmp_path / 'a.nii.gz').write_bytes(content)
        self.refused(tmp_path / 'a.nii.gz', 'CRC')

    def test_nifti_2(self, tmp_path, head):
        nibabel.save(nibabel.Nifti2Image(head, ras(head.shape)), tmp_path / 'a.nii.gz')
        scan = read_nifti(tmp_path / 'a.nii.gz')
        assert np.array_equal(scan.restore(scan.hu), head)

    @settings(max_examples=60)
    @given(st.integers(0, 347), st.integers(0, 255))
    def test_a_damaged_header(self, tmp_path_factory, where, value):
        """Read, or refused in one line; nothing else."""
        path = tmp_path_factory.mktemp('header') / 'a.nii'
        content = bytearray(save(path, np.full((9, 9, 3), -40, np.int16)).read_bytes())
        content[where] = value
        path.write_bytes(content)
        try:
            read_nifti(path)
        except CraniumError as error:
            assert '\n' not in str(error)

    @pytest.mark.parametrize('shape', [(9,), (9, 9, 2, 2), (9, 9, 1, 2)])
    def test_shapes(self, tmp_path, shape):
        self.refused(save(tmp_path / 'a.nii', np.ones(shape), np.eye(4)), 'slice or a volume')

    def test_colours_and_complex_numbers(self, tmp_path):
        colour = np.zeros((9, 9, 2), [(name, 'u1') for name in 'RGB'])
        self.refused(save(tmp_path / 'a.nii', colour), 'an image in colours')
        self.refused(save(tmp_path / 'a.nii', np.ones((9, 9, 2), np.complex64)), 'of type complex')

    def test_too_large(self, tmp_path):
        path = save(tmp_path / 'a.nii', np.ones((9, 9, 2)))
        content = bytearray(path.read_bytes())
        content[42:48] = np.int16([32767] * 3).tobytes()
        path.write_bytes(content)
        self.refused(path, 'too large for a head')

    @pytest.mark.parametrize(
        ('shape', 'affine', 'message'),
        [
            ((9, 9, 2), None, 'no valid affine'),
            ((2, 9, 9), np.eye(4), 'axial slices are 2 x 9 mm, which is no head'),
            ((9, 3, 9), np.diag([0.5, 2.5, 0.5, 1]), r'0\.5 x 2\.5 mm, too coarse; name the axial'),
            ((9, 9, 2), ras(()) @ [[1, 0.1, 0, 0], *np.eye(4)[1:]], 'not at right angles'),
        ],
    )
    def test_affines(self, tmp_path, shape, affine, message):
        voxels = np.full(shape, -40, np.int16)
        image = nibabel.Nifti1Image(voxels, affine)
        nibabel.save(image, tmp_path / 'a.nii')
        self.refused(tmp_path / 'a.nii', message)

    def test_no_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r'a\.nii: no such file'):
            read_volume(tmp_path / 'a.nii')
