"""What the tests of several rooms share."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import settings
from PIL import Image

from cranium.cli import cranium
from cranium.windows import BRAIN, encode_hu

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
TINY_UNET = ROOT / 'tests/tiny_unet.py'  # trains in seconds

# A busy machine is no reason to fail.
settings.register_profile('cranium', deadline=None)
settings.load_profile('cranium')

# Threads of several processes on few cores only get into each other's way.
os.environ.setdefault('OMP_NUM_THREADS', '1')

# Under nohup and in the background of a shell signals are ignored, which commands would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def run_command(
    *command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None, status: int = 0
) -> str:
    """Run a command as a user types it, in an environment where the project is installed.

    Returns:
        str: Its output, errors included.
    """
    result = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env=os.environ
        | {'PATH': f'{BIN}{os.pathsep}{os.environ["PATH"]}', 'PYTHONWARNINGS': 'ignore'}
        | (env or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    assert result.returncode == status, result.stdout
    return result.stdout


def call_cranium(*args: object) -> Result:
    """Run ``cranium`` in this process."""
    return CliRunner().invoke(cranium, [*map(str, args)])


def write_slice(tree: Path, split: str, name: str, image: np.ndarray, mask: np.ndarray) -> None:
    """Write one slice of a prepared tree."""
    for folder, pixels in (('images', image), ('masks', mask)):
        path = tree / folder / split / f'{name}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


def write_tree(tree: Path, train: int = 8, val: int = 3) -> Path:
    """Write a prepared tree of 64x64 slices: noise, in which a bright square is the hemorrhage."""
    rng = np.random.default_rng(0)
    for split, patient, count in (('train', 49, train), ('val', 71, val)):
        for number in range(1, count + 1):
            image = rng.integers(0, 90, (64, 64), dtype=np.uint8)
            mask = np.zeros((64, 64), np.uint8)
            if number % 3:
                mask[10 : 20 + number, 12:30] = 1
                image[mask == 1] += 120
            write_slice(tree, split, f'{patient:03d}_{number:03d}', image, mask)
    return tree


def write_hu(tree: Path) -> None:
    """Make the gray images of a tree those of `--window hu`."""
    for path in tree.glob('images/*/*.png'):
        Image.fromarray(encode_hu(BRAIN.to_hu(np.asarray(Image.open(path))))).save(path)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A prepared tree of 8 slices to train on and 3 to validate on."""
    return write_tree(tmp_path / 'data')


@pytest.fixture
def network(monkeypatch):
    """A stand-in for the pretrained network."""
    from cranium.inference.segmenter import Segmenter
    from tests.test_inference.made import ByBrightness

    network = ByBrightness()
    monkeypatch.setattr(Segmenter, 'from_pretrained', lambda *args: network)
    return network
