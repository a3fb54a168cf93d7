"""Pixels in and out: strict reading of 8-bit gray JPEG, writing of gray PNG."""

import io
import itertools
import struct
import warnings
import zlib
from functools import lru_cache

import deflate
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import ExifTags, Image

from cranium.errors import CraniumError

MASK_THRESHOLD = 127
"""A mask pixel above it is hemorrhage: halfway, as JPEG ringing surrounds both black and white."""

# The largest slice of the data set has 650 x 650 pixels.
_MAX_PIXELS = 4096 * 4096
_UP = 2  # PNG's number of the filter that subtracts the row above


def decode_gray(data: bytes, name: str) -> NDArray[np.uint8]:
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
    with _open_jpeg(data, name) as image:
        mode = image.mode
    if mode in ('L', 'RGB'):
        try:  # Pillow decodes damaged files without a word, and fills in what is lost.
            pixels = simplejpeg.decode_jpeg(data, 'GRAY' if mode == 'L' else 'RGB', strict=True)
        except ValueError as error:
            msg = f'{name}: damaged ({error}); replace it by the original file'
            raise CraniumError(msg) from error
        if (pixels == pixels[..., :1]).all():
            return np.ascontiguousarray(pixels[..., 0])
    msg = f'{name}: a {mode} image, where 8-bit gray was expected; replace it'
    raise CraniumError(msg)


def jpeg_size(data: bytes, name: str) -> tuple[int, int]:
    """Return (height, width) of a JPEG without decoding it; errors as :func:`decode_gray`."""
    with _open_jpeg(data, name) as image:
        return image.height, image.width


def _open_jpeg(data: bytes, name: str) -> Image.Image:
    if not data:
        raise CraniumError(f'{name}: empty (0 bytes); download it again')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data))
            turned = image.getexif().get(ExifTags.Base.Orientation, 1)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        msg = f'{name}: not a readable JPEG; replace it by the original file'
        raise CraniumError(msg) from error
    if image.format != 'JPEG':
        msg = f'{name}: a {image.format} file (mode {image.mode}), not a JPEG; replace it'
        raise CraniumError(msg)
    if image.width * image.height > _MAX_PIXELS:
        msg = f'{name}: {image.width} x {image.height} pixels, too large for a CT slice; replace it'
        raise CraniumError(msg)
    if turned != 1:
        msg = f'{name}: turned by EXIF (orientation {turned}); replace it by the original file'
        raise CraniumError(msg)
    return image


def encode_png(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """Encode a gray PNG of 8 or 16 bit; the same pixels give the same bytes.

    Args:
        pixels (ndarray): (H, W), uint8 or uint16.

    Returns:
        bytes: The file.
    """
    height, width = pixels.shape
    samples = pixels.astype(pixels.dtype.newbyteorder('>')).view(np.uint8)
    # In CT the row above predicts well, so that one filter is enough.
    rows = np.empty((height, 1 + samples.shape[1]), np.uint8)
    rows[:, 0] = _UP
    rows[0, 1:] = samples[0]
    np.subtract(samples[1:], samples[:-1], out=rows[1:, 1:])
    depth = 8 * pixels.itemsize
    header = struct.pack('>2I5B', width, height, depth, 0, 0, 0, 0)
    # libdeflate: faster than zlib, to smaller files, and the same bytes on every machine.
    content = bytes(deflate.zlib_compress(rows, 1))
    chunks = ((b'IHDR', header), (b'IDAT', content), (b'IEND', b''))
    return b'\x89PNG\r\n\x1a\n' + b''.join(itertools.starmap(_chunk, chunks))


def _chunk(kind: bytes, content: bytes) -> bytes:
    crc = zlib.crc32(content, zlib.crc32(kind))
    return b''.join((struct.pack('>I', len(content)), kind, content, struct.pack('>I', crc)))


@lru_cache(maxsize=16)
def uniform_png(height: int, width: int, value: int) -> bytes:
    """Encode a mask of one value: seven of eight masks are empty, so each size is encoded once."""
    return encode_png(np.full((height, width), value, np.uint8))
