"""Tests of which process this is."""

import pytest

from cranium.inference.share import Share, find_share


@pytest.mark.parametrize(
    ('environment', 'expected'),
    [
        ({}, Share(0, 1)),
        ({'RANK': '1', 'WORLD_SIZE': '3', 'LOCAL_RANK': '1'}, Share(1, 3, 1)),
        ({'SLURM_PROCID': '2', 'SLURM_NTASKS': '4'}, Share(2, 4)),
        (
            {
                'SLURM_JOB_ID': '7',
                'SLURM_STEP_ID': '0',
                'SLURM_PROCID': '5',
                'SLURM_NTASKS': '8',
                'SLURM_LOCALID': '1',
            },
            Share(5, 8, 1),
        ),
        # A batch script itself, which srun did not start, does all.
        ({'SLURM_JOB_ID': '7', 'SLURM_PROCID': '0', 'SLURM_NTASKS': '8'}, Share(0, 1)),
        # torchrun within srun.
        (
            {'RANK': '1', 'WORLD_SIZE': '2', 'SLURM_PROCID': '0', 'SLURM_NTASKS': '1'},
            Share(1, 2),
        ),
    ],
)
def test_the_launcher_says_which_process_this_is(environment, expected):
    assert find_share(environment) == expected
