"""Which scans are this process's, where several share them: under torchrun or Slurm."""

import os
from collections.abc import Mapping
from typing import NamedTuple


class Share(NamedTuple):
    """One process of several.

    Attributes:
        rank (int): Its number, from 0.
        size (int): How many they are.
        local (int): Its number on its machine, from 0.
    """

    rank: int = 0
    size: int = 1
    local: int = 0


def find_share(environment: Mapping[str, str] = os.environ) -> Share:
    """Read from the environment which process this is.

    Args:
        environment (Mapping): Variables. Defaults to those of this process.

    Returns:
        Share: The only one, where nobody started several.
    """
    for rank, size, local in (
        ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),  # torchrun
        ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    ):
        if rank in environment and size in environment:
            # A batch script has Slurm's variables too, but only what srun starts is one of several.
            if rank.startswith('SLURM') and _is_batch_script(environment):
                continue
            return Share(
                int(environment[rank]), int(environment[size]), int(environment.get(local, 0))
            )
    return Share()


def _is_batch_script(environment: Mapping[str, str]) -> bool:
    return 'SLURM_JOB_ID' in environment and 'SLURM_STEP_ID' not in environment
