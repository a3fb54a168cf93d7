"""A process of a distributed evaluation; apart from the tests, which are slow to import."""

import torch
from mmengine.dataset import DefaultSampler

from cranium.evaluation.hemorrhage_metric import HemorrhageMetric


def evaluate(rank, world_size, folder, meta):
    """Evaluate this process's share of the samples, as mmengine's loops do."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=world_size
    )
    samples = torch.load(f'{folder}/samples.pth', weights_only=False)
    share = list(DefaultSampler(samples, shuffle=False))
    assert len(share) * world_size == len(samples) + 1  # one of them is padding
    metric = HemorrhageMetric(report=True, results_dir=f'{folder}/two')
    metric.collect_dir = f'{folder}/collect'
    metric.dataset_meta = meta
    metric.process({}, [samples[index] for index in share])
    metric.evaluate(len(samples))
    torch.distributed.destroy_process_group()
