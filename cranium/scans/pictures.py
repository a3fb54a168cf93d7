"""Pictures of slices: strict reading of gray JPEG and PNG, and scans from them."""

import io
import struct
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import ExifTags, Image

from cranium.errors import CraniumError
from cranium.manifest import MANIFEST, read_manifest
from cranium.scans.estimate import estimate_window
from cranium.scans.scan import Scan
from cranium.windows import BRAIN, Window, decode_hu

# The largest slice of ct-ich has 650 x 650 pixels.
_MAX_PIXELS = 4096 * 4096
_PNG = b'\x89PNG\r\n\x1a\n'
_JPEG = b'\xff\xd8'
_HU_PNG = 'cranium prepare --window hu'
_LEAST_HU = -1100  # below lies nothing in a head, not even air

Gray = NDArray[np.uint8] | NDArray[np.uint16]


def read_pixels(file: str | Path) -> Gray:
    """Read a gray JPEG or PNG.

    Args:
        file (str | Path): Its path; what it holds, not its suffix, says which it is.

    Returns:
        ndarray: Pixels, (H, W), uint8 or uint16.

    Raises:
        CraniumError: Neither, or as :func:`decode_jpeg` and :func:`decode_png`.
        OSError: It is not there or may not be read.
    """
    return decode(Path(file).read_bytes(), str(file))


def decode(data: bytes, name: str) -> Gray:
    """Decode a gray JPEG or PNG; see :func:`read_pixels`."""
    if data.startswith(_PNG):
        return decode_png(data, name)
    if data and not data.startswith(_JPEG):
        raise CraniumError(f'{name}: neither a JPEG nor a PNG; replace it by the original file')
    return decode_jpeg(data, name)


def decode_jpeg(data: bytes, name: str) -> NDArray[np.uint8]:
    """Decode an 8-bit gray JPEG.

    Args:
        data (bytes): The file.
        name (str): What to call it in an error.

    Returns:
        ndarray: Pixels, (H, W), uint8. An RGB JPEG whose three channels are equal counts as gray.

    Raises:
        CraniumError: Empty, damaged (whatever libjpeg warns of), turned by EXIF, another format,
            another depth, or in color.
    """
    with _open(data, name, 'JPEG') as image:
        mode = image.mode
    if mode not in ('L', 'RGB'):
        raise _not_gray(mode, name)
    try:  # Pillow decodes damaged files without a word, and fills in what is lost.
        pixels = simplejpeg.decode_jpeg(data, 'GRAY' if mode == 'L' else 'RGB', strict=True)
    except ValueError as error:
        msg = f'{name}: damaged ({error}); replace it by the original file'
        raise CraniumError(msg) from error
    return np.asarray(_one_of_equal(pixels, mode, name), np.uint8)


def jpeg_size(data: bytes, name: str) -> tuple[int, int]:
    """Return (height, width) of a JPEG without decoding it; errors as :func:`decode_jpeg`."""
    with _open(data, name, 'JPEG') as image:
        return image.height, image.width


def decode_png(data: bytes, name: str) -> Gray:
    """Decode a gray PNG of 8 or 16 bit; errors as :func:`decode_jpeg`.

    Returns:
        ndarray: Pixels, (H, W), uint8 or uint16.
    """
    if b'eXIf' in data:  # Pillow decodes the whole PNG to look for it
        _open(data, name, 'PNG').close()
    height, width, depth, kind = _png_header(data)
    _refuse_large(height, width, name)
    if depth == 1:
        raise _not_gray('black-and-white', name)
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None:
        raise CraniumError(f'{name}: damaged; replace it by the original file')
    pixels: NDArray[Any] = decoded[..., None] if decoded.ndim == 2 else decoded
    if pixels.shape[2] == 4 and pixels[..., 3].min() == 2 ** (8 * pixels.itemsize) - 1:
        pixels = pixels[..., :3]  # all of it is opaque
    what = {0: 'gray', 2: 'RGB', 3: 'palette', 4: 'transparent', 6: 'RGBA'}.get(kind, 'strange')
    return _one_of_equal(pixels, what, name)


def to_hu(pixels: Gray, window: Window = BRAIN) -> NDArray[np.int16]:
    """Convert the pixels of a picture to HU: 16-bit ones are HU + 32768, gray ones of a window.

    What is white in a narrow window becomes at least as dense as in the brain window, and what is
    black no denser than there: or else networks would take bone for blood.

    Args:
        pixels (ndarray): uint8 or uint16 of any shape.
        window (Window): What gray pixels show. Defaults to the brain window.

    Returns:
        ndarray: int16 of the same shape.
    """
    if pixels.dtype == np.uint16:
        return decode_hu(np.asarray(pixels, np.uint16))
    hu = window.to_hu(np.asarray(pixels, np.uint8))
    hu[pixels == 255] = max(round(window.high), round(BRAIN.high))
    hu[pixels == 0] = min(round(window.low), round(BRAIN.low))
    return hu


def read_pictures(files: Sequence[Path], window: Window | None = BRAIN) -> Scan:
    """Read a scan from pictures, one a slice, which tell nothing of its geometry.

    Only the manifest of a tree that was prepared from DICOM or NIfTI tells the size of pixels.

    Args:
        files (sequence): Gray PNG or JPEG, from the neck to the vertex: 8-bit ones show a window,
            16-bit ones are HU + 32768, as ``cranium prepare --window hu`` writes them.
        window (Window, optional): What 8-bit ones show; None if that is to be estimated. Defaults
            to the brain window.

    Returns:
        Scan: Without geometry.

    Raises:
        CraniumError: As :func:`read_pixels`, and pictures of several sizes or depths.
        OSError: A file is not there or may not be read.
    """
    pictures: list[Gray] = []
    for file in files:
        pixels = read_pixels(file)
        first = pictures[0] if pictures else pixels
        if pixels.shape != first.shape or pixels.dtype != first.dtype:
            (height, width), bits = pixels.shape, 8 * pixels.itemsize
            msg = f'{file}: {width} x {height} pixels of {bits} bits, unlike {files[0]}'
            raise CraniumError(f'{msg}; the pictures of a scan need one size: put it elsewhere')
        pictures.append(pixels)
    stored: Any = np.stack(pictures)
    wide = stored.dtype == np.uint16
    shown, remark = (BRAIN, '') if wide else _choose_window(stored, window)
    scan = Scan(
        to_hu(stored, shown),
        files[0].stem,
        str(files[0]),
        tuple(map(str, files)),
        pixel_mm=_measured_mm(files),
        window=None if wide else shown,
        remarks=() if wide else (remark,),
    )
    if wide and scan.hu.max() < _LEAST_HU:
        low, high = stored.min(), stored.max()
        msg = f'{scan.source}: 16-bit values of {low} to {high} are not HU + 32768'
        raise CraniumError(f'{msg}; `{_HU_PNG}` writes such pictures')
    return scan


def _choose_window(gray: NDArray[np.uint8], window: Window | None) -> tuple[Window, str]:
    """The window that pictures, (N, H, W), are taken for, and what a user should know of it."""
    how = ''
    if window is None:
        window = estimate_window(gray)
        how = ', as their brain says'
    if window is None:
        window, how = BRAIN, ', as their brain says nothing'
    return window, (
        f'taken for pictures of the window {window.low:g} to {window.high:g} HU (level '
        f'{window.level:g}, width {window.width:g}){how}; what lies beyond is not known'
    )


def _measured_mm(files: Sequence[Path]) -> float | None:
    """Side of the pixels, where a prepared tree of scans with a known geometry tells it."""
    root = files[0].absolute().parents[2:3]
    if not root or not (root[0] / MANIFEST).is_file():
        return None
    rows = read_manifest(root[0]).set_index('image')
    names = [file.absolute().relative_to(root[0]).as_posix() for file in files]
    known = rows.reindex(names)
    sides = known['pixel_mm'].where(known['slice_mm'].notna()).unique()  # else it is assumed
    return float(sides[0]) if len(sides) == 1 and sides[0] > 0 else None


def _open(data: bytes, name: str, kind: str) -> Image.Image:
    """Open a picture without decoding it; refuse it if it is of another kind, large or turned."""
    if not data:
        raise CraniumError(f'{name}: empty (0 bytes); download it again')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data))
            turned = image.getexif().get(ExifTags.Base.Orientation, 1)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        msg = f'{name}: not a readable {kind}; replace it by the original file'
        raise CraniumError(msg) from error
    if image.format != kind:
        msg = f'{name}: a {image.format} file (mode {image.mode}), not a {kind}; replace it'
        raise CraniumError(msg)
    _refuse_large(image.height, image.width, name)
    if turned != 1:
        msg = f'{name}: turned by EXIF (orientation {turned}); replace it by the original file'
        raise CraniumError(msg)
    return image


def _png_header(data: bytes) -> tuple[int, int, int, int]:
    """Height, width, bits of a channel and type of colour; zeros where there is no header."""
    if len(data) < 26:
        return 0, 0, 0, 0
    width, height, depth, kind = struct.unpack('>2I2B', data[16:26])
    return height, width, depth, kind


def _refuse_large(height: int, width: int, name: str) -> None:
    if height * width > _MAX_PIXELS:
        msg = f'{name}: {width} x {height} pixels, too large for a CT slice; replace it'
        raise CraniumError(msg)


def _one_of_equal(pixels: NDArray[Any], mode: str, name: str) -> Gray:
    """Return the channel of a picture, (H, W, C), the channels of which are equal."""
    if pixels.shape[2] == 1 or (pixels == pixels[..., :1]).all():
        return np.ascontiguousarray(pixels[..., 0])
    raise _not_gray(mode, name)


def _not_gray(mode: str, name: str) -> CraniumError:
    return CraniumError(f'{name}: a {mode} image, where gray was expected; replace it')
