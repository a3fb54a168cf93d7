"""Decoding the pixels of DICOM files."""

import io
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cranium.errors import CraniumError
from cranium.scans.headers import Header, quietly, read_dataset, read_header

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.uid import UID

Pixels = NDArray[np.integer]

_JPEG_OF_12_BITS = '1.2.840.10008.1.2.4.51'
# Only GDCM decodes these, and it ends the process that it runs in on some damaged files.
_APART = {_JPEG_OF_12_BITS, '1.2.840.10008.1.2.4.57', '1.2.840.10008.1.2.4.70'}
_PLUGINS = {
    '1.2.840.10008.1.2.4.50': 'pillow',  # JPEG of 8 bits
    '1.2.840.10008.1.2.4.80': 'pyjpegls',
    '1.2.840.10008.1.2.4.81': 'pyjpegls',
    '1.2.840.10008.1.2.4.90': 'pylibjpeg',  # JPEG 2000
    '1.2.840.10008.1.2.4.91': 'pylibjpeg',
}
_DAMAGED = b'Corrupt JPEG data'  # what GDCM's decoder says and goes on
_LENGTH = 8  # bytes, of the length of what is sent between processes
_ARRAY = b'\x93NUMPY'
_ANSWER = 'import sys; sys.path[:] = sys.argv[1:]; import cranium.scans.pixels as p; p.answer()'


def decode(headers: Sequence[Header]) -> Iterator[Pixels]:
    """Decode files by joblib, wherever that is told to, or in a process of its own.

    Args:
        headers (sequence): Of the files.

    Yields:
        ndarray: The stored values of each, (frames, H, W).

    Raises:
        CraniumError: Pixels that are not there, damaged, or of an unknown transfer syntax.
        OSError: A file cannot be read.
    """
    if any(header.syntax in _APART for header in headers):
        yield from _decode_apart(headers)
    elif len(headers) == 1:
        yield _decode(headers[0])
    else:
        from joblib import Parallel, delayed  # slow to import

        found: Iterable[Pixels] = Parallel(return_as='generator')(map(delayed(_decode), headers))
        yield from found


def _decode(header: Header) -> Pixels:
    dataset = read_dataset(header.path)
    if 'PixelData' not in dataset:
        raise CraniumError(f'{header.path}: no pixels, only a header; copy or export it again')
    try:
        with quietly():
            return _decode_dataset(dataset).reshape(len(header.frames), *header.size)
    except Exception as error:  # decoders of several libraries raise what they like
        raise _damage(header) from error


def _damage(header: Header) -> CraniumError:
    from pydicom.uid import UID

    with quietly():
        syntax = UID(header.syntax)
    kind = syntax.name if syntax.name != syntax else 'of a known transfer syntax'
    msg = f'{header.path}: its pixels are cut off, damaged, or not {kind}'
    return CraniumError(f'{msg}; copy or export it again')


def _decode_dataset(dataset: 'Dataset') -> Pixels:
    from pydicom.pixels.utils import pixel_array

    syntax = dataset.file_meta.get('TransferSyntaxUID')
    if syntax is None:
        syntax = dataset.file_meta.TransferSyntaxUID = _syntax_as_read(dataset)
    if syntax == _JPEG_OF_12_BITS and dataset.BitsAllocated == 16:
        return _decode_12_bits(dataset)
    return np.asarray(pixel_array(dataset, decoding_plugin=_PLUGINS.get(syntax, '')))


def _syntax_as_read(dataset: 'Dataset') -> 'UID':
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    implicit, little = dataset.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def _decode_12_bits(dataset: 'Dataset') -> Pixels:
    """Decode lossy JPEG of 12 bits, which GDCM knows, though pydicom does not ask it."""
    import gdcm

    reader = gdcm.ImageReader()
    reader.SetFileName(str(dataset.filename))
    if not reader.Read():
        raise ValueError('not readable')
    content = reader.GetImage().GetBuffer().encode('utf-8', 'surrogateescape')
    return np.frombuffer(content, '<i2' if dataset.PixelRepresentation else '<u2')


def _decode_apart(headers: Sequence[Header]) -> Iterator[Pixels]:
    """Decode files in another process; if that ends, the file is damaged."""
    with subprocess.Popen(
        [sys.executable, '-I', '-c', _ANSWER, *sys.path],  # and nothing that lies in this folder
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdin and process.stdout
        try:
            for header in headers:
                _send(process.stdin, os.fsencode(header.path))
                answer = _receive(process.stdout)
                if not answer and process.wait() >= 0:  # no signal
                    raise RuntimeError(f'decoding ended with the status {process.returncode}')
                if not answer.startswith(_ARRAY):
                    raise CraniumError(answer.decode()) if answer else _damage(header)
                yield np.load(io.BytesIO(answer), allow_pickle=False)
        finally:
            process.kill()


def answer() -> None:
    """Decode the files that this process is asked for, as the other one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), sys.stderr.fileno())  # GDCM says there what it does not raise
        while path := _receive(sys.stdin.buffer):
            content = io.BytesIO()
            try:
                header = read_header(Path(os.fsdecode(path)))
                np.save(content, _decode(header))
                log.seek(0)
                if _DAMAGED in log.read():
                    raise _damage(header)
            except (CraniumError, OSError) as error:
                content = io.BytesIO(str(error).encode())
            _send(sys.stdout.buffer, content.getvalue())


def _send(pipe: IO[bytes], content: bytes) -> None:
    pipe.write(len(content).to_bytes(_LENGTH, 'little') + content)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> bytes:
    """Return what was sent; nothing if the other process has ended."""
    return pipe.read(int.from_bytes(pipe.read(_LENGTH), 'little'))
