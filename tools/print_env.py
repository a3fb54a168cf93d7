"""Print versions and hardware, to be pasted into a bug report."""

import argparse
import importlib.util
import os
from importlib.metadata import PackageNotFoundError, version

from _cli import run

PACKAGES = [
    'cranium',
    'torch',
    'mmcv',
    'mmcv-lite',
    'onedl-mmcv',
    'mmengine',
    'onedl-mmengine',
    'mmsegmentation',
    'onedl-mmsegmentation',
    'openmim',
    'numpy',
    'pillow',
    'scikit-learn',
    'scipy',
    'opencv-python',
    'opencv-python-headless',
    'setuptools',
]


def main() -> None:
    """Collect and print."""
    argparse.ArgumentParser(
        description=__doc__, epilog='example: python tools/print_env.py > env.txt'
    ).parse_args()
    # After the arguments: these take seconds, and --help should not.
    from mmengine.utils.dl_utils import collect_env

    from cranium.engine import mmcv_ops

    for name, value in collect_env().items():
        print(f'{name}: {value}')
    for package in PACKAGES:
        try:
            print(f'{package}: {version(package)}')
        except PackageNotFoundError:
            continue
    lite = importlib.util.find_spec(mmcv_ops.EXTENSION).loader is None
    print(f'mmcv operators: {"none (mmcv-lite)" if lite else "compiled"}')
    print(f'CPU cores: {os.cpu_count()}, OMP_NUM_THREADS: {os.environ.get("OMP_NUM_THREADS")}')


if __name__ == '__main__':
    run(main)
