"""Write the weights of a training to a file that others can load safely."""

import argparse
from pathlib import Path

from _cli import run


def main() -> None:
    """Parse the arguments and write."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='example: python tools/publish_checkpoint.py work_dirs/unet/iter_8000.pth '
        '--out checkpoints/unet.pth',
    )
    parser.add_argument('checkpoint', type=Path, help='of `mim train`')
    parser.add_argument('--out', type=Path, required=True, help='file to write')
    args = parser.parse_args()

    import cranium.engine  # noqa: F401  (before a checkpoint of mmengine is read)
    from cranium.engine.publishing import publish_checkpoint
    from cranium.evaluation.provenance import describe_file

    count = publish_checkpoint(args.checkpoint, args.out)
    size = args.out.stat().st_size / 1e6
    print(f'{args.out}: {count} weights, {size:.1f} MB')
    print(f'SHA-256 {describe_file(args.out)["sha256"]}')


if __name__ == '__main__':
    run(main)
