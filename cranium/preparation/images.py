"""Pixels in and out: strict reading of 8-bit gray JPEG, fast writing of PNG."""

import io
import struct
import warnings
from functools import lru_cache

import deflate
import numpy as np
from PIL import Image

from cranium.preparation.errors import DataError

MASK_THRESHOLD = 127
"""A mask pixel above it is hemorrhage: halfway, as JPEG ringing surrounds both black and white."""

IGNORE = 255
"""The mask value that mmseg's losses and metrics leave out."""

ENCODING = 3
"""Raised whenever the same pixels are written as other bytes, which then replace the old ones."""

# The largest slice of the data set has 650 x 650 pixels.
_MAX_PIXELS = 4096 * 4096
_FILTER_UP = 2


def decode_gray(data: bytes, name: str) -> np.ndarray:
    """Decode an 8-bit gray JPEG.

    Args:
        data (bytes): The file.
        name (str): What to call it in an error.

    Returns:
        np.ndarray: Pixels, (height, width), uint8. An RGB JPEG whose three channels are equal
        counts as gray.

    Raises:
        DataError: Empty, truncated, another format, another depth, or in color.
    """
    with _open_jpeg(data, name) as image:
        try:
            pixels = np.asarray(image)
        except (OSError, SyntaxError, ValueError) as error:
            raise DataError(f'{name}: {error}; replace it by the original file') from error
        if image.mode == 'L':
            return pixels
        if image.mode == 'RGB' and (pixels == pixels[..., :1]).all():
            return np.ascontiguousarray(pixels[..., 0])
        msg = f'{name}: a {image.mode} image, where 8-bit gray was expected; replace it'
        raise DataError(msg)


def jpeg_size(data: bytes, name: str) -> tuple[int, int]:
    """Return (height, width) of a JPEG without decoding it; errors as :func:`decode_gray`."""
    with _open_jpeg(data, name) as image:
        return image.height, image.width


def _open_jpeg(data: bytes, name: str) -> Image.Image:
    if not data:
        raise DataError(f'{name}: empty (0 bytes); download it again')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f'{name}: not a readable JPEG; replace it by the original file') from error
    if image.format != 'JPEG':
        msg = f'{name}: a {image.format} file (mode {image.mode}), not a JPEG; replace it'
        raise DataError(msg)
    if image.width * image.height > _MAX_PIXELS:
        msg = f'{name}: {image.width} x {image.height} pixels, too large for a CT slice; replace it'
        raise DataError(msg)
    return image


def encode_png(pixels: np.ndarray) -> bytes:
    """Encode an 8-bit PNG, several times faster than a general writer.

    A general writer tries five filters on every row. For CT the row above predicts well, so one
    filter (`Up`) suffices. libdeflate then compresses faster than zlib, to a smaller file, and to
    the same bytes every time: ISA-L is faster still, but now and then leaves other padding bits
    in its stream, and a manifest of checksums with them. Figures: docs/performance.md.

    Args:
        pixels (np.ndarray): (height, width) gray or (height, width, 3) RGB, uint8.

    Returns:
        bytes: The file.
    """
    height, width = pixels.shape[:2]
    color_type = 0 if pixels.ndim == 2 else 2
    rows = pixels.reshape(height, -1)
    filtered = np.empty((height, rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = _FILTER_UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    header = struct.pack('>IIBBBBB', width, height, 8, color_type, 0, 0, 0)
    return b''.join(
        (
            b'\x89PNG\r\n\x1a\n',
            _chunk(b'IHDR', header),
            _chunk(b'IDAT', deflate.zlib_compress(filtered, 1)),
            _chunk(b'IEND', b''),
        )
    )


def _chunk(kind: bytes, body: bytes) -> bytes:
    checksum = deflate.crc32(kind + body)
    return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', checksum)


@lru_cache(maxsize=16)
def uniform_png(height: int, width: int, value: int) -> bytes:
    """Encode a mask of one value: seven of eight masks are empty, so each size is encoded once."""
    return encode_png(np.full((height, width), value, np.uint8))
