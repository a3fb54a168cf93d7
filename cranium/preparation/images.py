"""Writing of gray PNG."""

import itertools
import struct
import zlib
from functools import lru_cache

import deflate
import numpy as np
from numpy.typing import NDArray

MASK_THRESHOLD = 127
"""A mask pixel above it is hemorrhage: halfway, as JPEG ringing surrounds both black and white."""

_UP = 2  # PNG's number of the filter that subtracts the row above


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
