"""Pictures: what is read, what is refused, and scans from them."""

import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import ExifTags, Image

from cranium.errors import CraniumError
from cranium.manifest import EMPTY_ROW, write_manifest
from cranium.scans.pictures import decode, decode_jpeg, decode_png, jpeg_size, read_pictures
from cranium.windows import BONE, BRAIN, Window, encode_hu
from tests.conftest import ROOT

GRADIENT = np.arange(256, dtype=np.uint8).reshape(16, 16)


def encode(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_decode_is_pillows():
    data = encode(Image.fromarray(GRADIENT), 'JPEG', quality=40)
    assert np.array_equal(decode_jpeg(data, 'x'), np.asarray(Image.open(io.BytesIO(data))))
    assert jpeg_size(encode(Image.fromarray(GRADIENT[:4]), 'JPEG'), 'x') == (4, 16)


def test_rgb_with_equal_channels_is_gray():
    gray = Image.fromarray(GRADIENT)
    data = encode(gray.convert('RGB'), 'JPEG', quality=100, subsampling=0)
    assert np.abs(decode_jpeg(data, 'x').astype(int) - GRADIENT).max() <= 2


NOISE = np.random.RandomState(0).randint(0, 255, (64, 64), np.uint8)
JPEG = encode(Image.fromarray(NOISE), 'JPEG')
COLORED = np.stack([GRADIENT, GRADIENT.T, GRADIENT], axis=-1)
BAD = {
    'zero bytes': (b'', 'empty \\(0 bytes\\)'),
    'not an image': (b'<html>Sign in to download</html>', 'not a readable JPEG'),
    'truncated in the header': (JPEG[:100], 'not a readable JPEG|truncated'),
    'truncated in the pixels': (JPEG[: len(JPEG) // 2], 'damaged .Premature end'),
    'truncated at the end': (JPEG[:-40], 'damaged .Premature end'),
    'the last bytes lost': (JPEG[:-2], 'damaged .Premature end'),
    '16-bit': (encode(Image.fromarray(GRADIENT.astype(np.uint16)), 'PNG'), 'a PNG file .*I;16'),
    'CMYK': (encode(Image.fromarray(GRADIENT).convert('CMYK'), 'JPEG'), 'a CMYK image'),
    'color': (encode(Image.fromarray(COLORED), 'JPEG'), 'a RGB image'),
    'too large': (encode(Image.new('L', (8192, 4096)), 'JPEG'), '8192 x 4096 pixels, too large'),
}


@pytest.mark.parametrize(('data', 'message'), BAD.values(), ids=BAD)
def test_bad_files_are_named(data, message):
    with pytest.raises(CraniumError, match=message) as caught:
        decode_jpeg(data, 'scans/7.jpg')
    assert str(caught.value).startswith('scans/7.jpg: ')
    assert '\n' not in str(caught.value)


REAL = (ROOT / 'data/sample/Patients_CT/066/brain/14.jpg').read_bytes()


@pytest.mark.parametrize('start', range(2_000, len(REAL) - 1_000, 4_000))
def test_damage_that_pillow_decodes_without_a_word(start):
    """A block of zeros, a hole, and a file that was cut and closed."""
    damaged = (
        REAL[:start] + bytes(500) + REAL[start + 500 :],
        REAL[:start] + REAL[start + 500 :],
        REAL[:start] + REAL[-2:],
    )
    for data in damaged:
        Image.open(io.BytesIO(data)).load()
        with pytest.raises(
            CraniumError, match=r'^x\.jpg: damaged \(.*; replace it by the original'
        ):
            decode_jpeg(data, 'x.jpg')


def test_an_image_that_exif_turns():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    turned = encode(Image.fromarray(GRADIENT), 'JPEG', exif=exif)
    for read in (decode_jpeg, jpeg_size):
        with pytest.raises(CraniumError, match=r'^x: turned by EXIF \(orientation 3\); replace it'):
            read(turned, 'x')
    exif[ExifTags.Base.Orientation] = 1
    upright = encode(Image.fromarray(GRADIENT), 'JPEG', exif=exif)
    assert decode_jpeg(upright, 'x').shape == (16, 16)


class TestPng:
    @settings(max_examples=30)
    @given(
        arrays.arrays(
            st.sampled_from([np.uint8, np.uint16]), st.tuples(st.integers(1, 9), st.integers(1, 9))
        )
    )
    def test_every_pixel(self, pixels):
        found = decode_png(encode(Image.fromarray(pixels), 'PNG'), 'x')
        assert found.dtype == pixels.dtype and np.array_equal(found, pixels)

    @pytest.mark.parametrize('mode', ['RGB', 'RGBA', 'P'])
    def test_equal_channels_are_gray(self, mode):
        data = encode(Image.fromarray(GRADIENT).convert(mode), 'PNG')
        assert np.array_equal(decode(data, 'x'), GRADIENT)

    HOLES = Image.fromarray(GRADIENT).convert('RGBA')
    HOLES.putpixel((3, 3), (51, 51, 51, 7))
    TURNED = Image.Exif()
    TURNED[ExifTags.Base.Orientation] = 6
    WHOLE = encode(Image.fromarray(NOISE), 'PNG')

    @pytest.mark.parametrize(
        ('data', 'message'),
        [
            (WHOLE[: len(WHOLE) // 2], 'damaged'),
            (WHOLE[:1000] + bytes([WHOLE[1000] ^ 255]) + WHOLE[1001:], 'damaged'),
            (WHOLE[:20], 'damaged'),
            (encode(Image.fromarray(COLORED), 'PNG'), 'a RGB image'),
            (encode(HOLES, 'PNG'), 'a RGBA image'),
            (encode(Image.fromarray(GRADIENT > 9), 'PNG'), 'a black-and-white image'),
            (encode(Image.new('L', (8192, 4096)), 'PNG'), '8192 x 4096 pixels, too large'),
            (encode(Image.fromarray(GRADIENT), 'PNG', exif=TURNED), r'turned by EXIF .*6'),
            (encode(Image.fromarray(GRADIENT), 'GIF'), 'neither a JPEG nor a PNG'),
            (b'', r'empty \(0 bytes\)'),
        ],
        ids=lambda value: value if isinstance(value, str) else '',
    )
    def test_bad_files_are_named(self, data, message):
        with pytest.raises(CraniumError, match=rf'^a/7\.png: {message}') as caught:
            decode(data, 'a/7.png')
        assert '\n' not in str(caught.value)


class TestScan:
    @staticmethod
    def write(folder, *pictures):
        files = []
        for number, pixels in enumerate(pictures, 1):
            kind = 'PNG' if pixels.dtype == np.uint16 else 'JPEG'
            files.append(folder / f'049_{number:03d}.{kind.lower()}')
            files[-1].write_bytes(encode(Image.fromarray(pixels), kind, quality=100))
        return files

    def test_hu(self, tmp_path):
        hu = np.arange(-1000, 2000, 125, dtype=np.int16).reshape(2, 3, 4)
        files = self.write(tmp_path, *encode_hu(hu))
        scan = read_pictures(files, BONE)
        assert np.array_equal(scan.hu, hu)
        assert (scan.window, scan.geometry, scan.pixel_mm, scan.remarks) == (None, None, None, ())
        assert scan.files == tuple(map(str, files)) and scan.name == '049_001'

    def test_gray_is_of_the_window(self, tmp_path):
        """Black is -20 HU, white 100 HU, and 85 of 255 a third of the way."""
        gray = np.array([[0, 85, 255]], np.uint8).repeat(8, 0).repeat(8, 1)
        scan = read_pictures(self.write(tmp_path, gray))
        assert scan.hu[0, 0, ::8].tolist() == [-20, 20, 100]
        assert 'window -20 to 100 HU (level 40, width 120)' in scan.remarks[0]
        scan = read_pictures(self.write(tmp_path, gray), BONE)
        assert scan.hu[0, 0, ::8].tolist() == [-900, 167, 2300] and scan.window == BONE

    def test_what_is_white_in_a_narrow_window_is_no_blood(self, tmp_path):
        """From 5 to 75 HU; 74.7 HU are blood, but all above is white."""
        gray = np.array([[0, 1, 254, 255]], np.uint8).repeat(8, 0).repeat(8, 1)
        scan = read_pictures(self.write(tmp_path, gray), Window(40, 70))
        assert scan.hu[0, 0, ::8].tolist() == [-20, 5, 75, 100]

    def test_the_window_is_estimated(self, tmp_path):
        """Half of the brain is 30.5 HU and half 39.9, in pictures of level 30 and width 110."""
        gray = np.zeros((120, 120), np.uint8)
        gray[10:-10, 10:-10] = 129
        gray[60:-10, 10:-10] = 150
        scan = read_pictures(self.write(tmp_path, gray), None)
        assert scan.window.level == pytest.approx(30, abs=1)
        assert scan.window.width == pytest.approx(110, abs=3)
        assert scan.hu[0, 30, 60] == scan.window.to_hu(gray)[30, 60] in (30, 31)
        (remark,) = scan.remarks
        shown = f'(level {scan.window.level:g}, width {scan.window.width:g}), as their brain says;'
        assert shown in remark

    def test_no_window_can_be_estimated(self, tmp_path):
        scan = read_pictures(self.write(tmp_path, np.full((64, 64), 9, np.uint8)), None)
        assert scan.window == BRAIN
        assert '(level 40, width 120), as their brain says nothing;' in scan.remarks[0]

    def test_hu_are_not_estimated(self, tmp_path):
        hu = np.arange(256, dtype=np.int16).reshape(1, 16, 16)
        scan = read_pictures(self.write(tmp_path, *encode_hu(hu)), None)
        assert np.array_equal(scan.hu, hu) and scan.window is None and not scan.remarks

    @pytest.mark.parametrize(
        'other', [GRADIENT[:8], np.full((16, 16), 40000, np.uint16)], ids=['size', 'depth']
    )
    def test_of_several_kinds(self, tmp_path, other):
        files = self.write(tmp_path, GRADIENT, other)
        message = rf'^{files[1]}: 16 x .* unlike {files[0]}; .* need one'
        with pytest.raises(CraniumError, match=message):
            read_pictures(files)

    def test_16_bits_of_something_else(self, tmp_path):
        files = self.write(tmp_path, np.array([[0, 4095]], np.uint16))
        with pytest.raises(CraniumError, match=r'049_001\.png: 16-bit values of 0 to 4095 are'):
            read_pictures(files)

    def test_only_what_was_measured_is_the_size_of_pixels(self, tmp_path):
        folder = tmp_path / 'images/val'
        folder.mkdir(parents=True)
        files = self.write(folder, np.full((2, 3), 32768, np.uint16), np.full((2, 3), 9, np.uint16))
        images = [f'images/val/{file.name}' for file in files]
        rows = [EMPTY_ROW | dict(image=image, pixel_mm=0.4, slice_mm=5.0) for image in images]

        def found(*rows):
            write_manifest(pd.DataFrame(rows), tmp_path)
            return read_pictures(files).pixel_mm

        assert found(*rows) == 0.4
        assert found(*(row | dict(slice_mm=np.nan) for row in rows)) is None
        assert found(rows[0], rows[1] | dict(pixel_mm=0.5)) is None
        assert found(rows[0]) is None
        (tmp_path / 'manifest.csv').unlink()
        assert read_pictures(files).pixel_mm is None
