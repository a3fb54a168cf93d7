"""Running commands in this process, and the folders that they read."""

from pathlib import Path

import numpy as np
from click.testing import CliRunner
from PIL import Image

from tests.test_evaluation.masks import blobs, perturbed

TOOLS = Path(__file__).parents[2] / 'tools'


def invoke(command, *arguments):
    """Run a command in this process and give back what it prints; errors are raised."""
    result = CliRunner().invoke(
        command, [*map(str, arguments)], catch_exceptions=False, standalone_mode=False
    )
    return result.stdout


def save_masks(folder, seed=0, num_patients=6, slices=3, offset=0):
    """A prepared tree with predictions of two quality levels."""
    rng = np.random.default_rng(seed)
    for patient in range(offset, offset + num_patients):
        for number in range(1, slices + 1):
            truth = blobs(rng, share=0.05) * (patient % 3 > 0)
            image = np.clip(90 + 60 * truth + rng.normal(0, 15, truth.shape), 0, 255)
            good = perturbed(rng, truth) if patient % 3 else truth
            bad = good * (rng.random() < 0.5)
            for kind, labels in {
                'masks/val': truth,
                'images/val': image,
                'good': good,
                'bad': bad,
            }.items():
                (folder / kind).mkdir(parents=True, exist_ok=True)
                file = folder / kind / f'{patient:03d}_{number:03d}.png'
                Image.fromarray(labels.astype(np.uint8)).save(file)
    (folder / 'splits.json').write_text('{"protocol": "patient"}')
