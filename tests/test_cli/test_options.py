"""What several commands share."""

import io
import sys

from cranium.cli._options import progress_bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


def show(monkeypatch, stream):
    monkeypatch.setattr(sys, 'stderr', stream)
    with progress_bar(4) as progress:
        progress(1)
        progress(3)
    return stream.getvalue()


def test_progress_is_for_a_terminal(monkeypatch):
    assert show(monkeypatch, io.StringIO()) == ''
    assert '100%' in show(monkeypatch, Terminal())
