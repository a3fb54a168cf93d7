"""``cranium demo`` as a program: begin, address, end."""

import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import ROOT, call_cranium

# The command with a stand-in for the network, which takes long to load.
PROGRAM = textwrap.dedent(
    """
    from unittest.mock import Mock, patch
    from cranium.cli import main
    from cranium.inference.segmenter import Segmenter
    from tests.test_demo.segmenter import NETWORK, segment_scan

    loaded = Mock(segment_scan=segment_scan, network=NETWORK)
    with patch.object(Segmenter, 'from_pretrained', return_value=loaded):
        main()
    """
)


@contextmanager
def demo(tmp_path: Path, *options: object):
    """Run the command until the block ends; its temporary files go to ``tmp_path``."""
    program = subprocess.Popen(
        [sys.executable, '-c', PROGRAM, 'demo', '--no-browser', *map(str, options)],
        cwd=ROOT,
        env=os.environ | {'TMPDIR': str(tmp_path), 'PYTHONWARNINGS': 'ignore'},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        yield program
    finally:
        program.kill()
        program.communicate()


@pytest.mark.parametrize(
    'end, status, said',
    [
        (signal.SIGINT, 130, '\ninterrupted\n'),
        (signal.SIGTERM, -signal.SIGTERM, ''),
        (signal.SIGHUP, -signal.SIGTERM, ''),
    ],
)
def test_it_serves_until_it_is_ended_and_leaves_nothing(tmp_path, end, status, said):
    with demo(tmp_path, '--port', 0) as program:
        line = program.stdout.readline()
        address = re.match(r'http://127\.0\.0\.1:\d+/', line)[0]
        assert 'Not a medical device' in urllib.request.urlopen(address).read().decode()
        urllib.request.urlopen(f'{address}sessions', data=b'')
        assert list(tmp_path.glob('cranium-demo-*/*'))
        program.send_signal(end)
        _, errors = program.communicate(timeout=20)
        assert (program.returncode, errors) == (status, said)
        assert list(tmp_path.iterdir()) == []


def test_a_port_that_is_taken_is_one_line(tmp_path):
    with socket.socket() as other:
        other.bind(('127.0.0.1', 0))
        other.listen()
        port = other.getsockname()[1]
        with demo(tmp_path, '--port', port) as program:
            output, errors = program.communicate(timeout=60)
    assert program.returncode == 1
    assert output == ''
    assert re.fullmatch(rf'error: port {port} is in use; choose another: --port \d+\n', errors)


def test_it_listens_on_this_machine_only(tmp_path):
    from cranium.demo.serve import listen

    with listen(0) as listener:
        assert listener.getsockname()[0] == '127.0.0.1'


@pytest.mark.parametrize('missing', ['starlette', 'uvicorn'])
def test_without_the_extra_it_says_how_to_install_it(monkeypatch, missing):
    for name in [name for name in sys.modules if name.startswith('cranium.demo')]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    error = call_cranium('demo').exception
    assert str(error) == f"cranium demo needs {missing}: pip install 'cranium[demo]'"
