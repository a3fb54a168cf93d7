"""Tables of slices that several tests of the evaluation need."""

import numpy as np

from cranium.evaluation import records

from .masks import blobs, perturbed


def record(patient, slice, tp, fp, fn, tn=100, **cells):
    return {'patient': patient, 'slice': slice, 'tp': tp, 'fp': fp, 'fn': fn, 'tn': tn} | cells


# Two patients with hemorrhage and one without.
LITERAL = [
    record('049', 1, 4, 2, 2, score_raw=0.9, true_lesions='6:1'),  # Dice 2/3
    record('049', 2, 0, 0, 10, score_raw=0.2, true_lesions='4:0 600:0'),  # Dice 0
    record('050', 1, 5, 0, 0, score_raw=0.8, true_lesions='5:1', types='Epidural'),  # Dice 1
    record('050', 2, 0, 0, 0, score_raw=0.1, types=''),
    record('051', 1, 0, 3, 0, score_raw=0.5, predicted_lesions='3:0', types=''),
]


def without_scores(rows):
    return [{**row, 'score_raw': np.nan} for row in rows]


def simulated(num_patients=12, slices=6, seed=0):
    rng = np.random.default_rng(seed)
    rows = []
    for patient in range(num_patients):
        for number in range(slices):
            truth = blobs(rng, share=0.05) * (patient % 2 == 0 and number % 3 > 0)
            prediction = perturbed(rng, truth) if rng.random() < 0.9 else 0 * truth
            noise = rng.random(truth.shape)
            rows.append(
                records.measure_slice(
                    truth,
                    prediction,
                    np.clip(0.7 * prediction + 0.3 * noise, 0, 1),
                    patient=f'{patient:03d}',
                    slice=number,
                    types='Subdural' if truth.any() else '',
                )
            )
    return records.slice_table(rows)
