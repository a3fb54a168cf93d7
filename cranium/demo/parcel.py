"""An upload: several files that come as one stream and go to the disk as they come.

First the length of the list in 4 bytes (big-endian), then the list as JSON, of names and sizes
``[["1.dcm", 524288], ...]``, then the content of the files. A browser makes it with
``new Blob([length, list, ...files])`` and sends it from the disk; neither side holds a file in
memory, as a form of several parts would.
"""

import json
import re
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from cranium.demo.sessions import Limits, Refused

_LONGEST_NAME = 100  # characters; file systems allow 255 bytes
_DEEPEST = 6  # folders of an upload


class Parcel:
    """An upload that is on its way.

    Args:
        stream (AsyncIterator[bytes]): Its content, in pieces of any length.
        limits (Limits): How much it may hold.
    """

    def __init__(self, stream: AsyncIterator[bytes], limits: Limits) -> None:
        self._stream, self._limits = stream, limits
        self._rest = b''
        self.paths: list[Path] = []
        self._sizes: list[int] = []

    async def open(self) -> None:
        """Read the list; after that :attr:`paths` says where each file goes, within a folder.

        Raises:
            Refused: It is not as it should be, or says that there is too much.
        """
        length = int.from_bytes(await self._take(4), 'big')
        if length > 1000 * (self._limits.files + 1):
            raise Refused(400, 'the list of this upload is too long; reload the page')
        names, self._sizes = _read_list(await self._take(length))
        most = self._limits.upload_bytes
        if not names:
            raise Refused(400, 'no file in this upload; choose one')
        if len(names) > self._limits.files:
            raise Refused(
                413, f'more than {self._limits.files} files; take fewer, or a zip of them'
            )
        if sum(self._sizes) > most:
            raise Refused(413, f'this upload is larger than {most / 2**20:g} MB; take fewer files')
        self.paths = list(unique(map(safe_path, names)))

    async def save(self, folder: Path) -> None:
        """Write the files below a folder.

        Raises:
            Refused: The stream ends early.
            OSError: They cannot be written.
        """
        for path, size in zip(self.paths, self._sizes):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            with (folder / path).open('xb') as out:
                async for piece in self._pieces(size):
                    out.write(piece)

    async def _take(self, size: int) -> bytes:
        return b''.join([piece async for piece in self._pieces(size)])

    async def _pieces(self, size: int) -> AsyncIterator[bytes]:
        while size:
            if not self._rest:
                self._rest = await anext(self._stream, b'')
                if not self._rest:
                    raise Refused(400, 'the upload broke off; try again')
            piece, self._rest = self._rest[:size], self._rest[size:]
            size -= len(piece)
            yield piece


def safe_path(name: str) -> Path:
    r"""Make what a browser calls a file a path that stays in its folder.

    Args:
        name (str): A name, or a path of an uploaded folder.

    Examples:
        >>> str(safe_path('head/IM 1.dcm')), str(safe_path('../../etc/passwd'))
        ('head/IM 1.dcm', 'etc/passwd')
        >>> str(safe_path('C:\\x\\..\\a<b>.png')), str(safe_path('/..'))
        ('C_/x/a_b_.png', 'file')
    """
    parts = [part for part in re.split(r'[/\\]', name) if part.strip('. ')]
    kept = [re.sub(r'[^\w .()+-]', '_', part)[-_LONGEST_NAME:] for part in parts[-_DEEPEST:]]
    return Path(*kept or ['file'])


def unique(paths: Iterable[Path]) -> Iterable[Path]:
    """Give a number to every path that was there before, in letters of either case."""
    seen: set[str] = set()
    for path in paths:
        number, free = 1, path
        while str(free).lower() in seen:
            number += 1
            free = path.with_name(f'{number}_{path.name}')
        seen.add(str(free).lower())
        yield free


def _read_list(text: bytes) -> tuple[list[str], list[int]]:
    try:
        pairs = [(str(name), int(size)) for name, size in json.loads(text)]
    except (ValueError, TypeError):
        raise Refused(400, 'the list of this upload cannot be read; reload the page') from None
    if any(size < 0 for _, size in pairs):
        raise Refused(400, 'a file of this upload is smaller than nothing; reload the page')
    return [name for name, _ in pairs], [size for _, size in pairs]
