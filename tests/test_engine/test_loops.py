import itertools
from types import SimpleNamespace

import pytest
import torch
from mmengine.dataset import InfiniteSampler
from mmengine.logging import MessageHub
from mmengine.runner import IterBasedTrainLoop

from cranium.datasets import BalancedSampler, CraniumDataset
from cranium.engine import loops
from cranium.engine.loops import ResumableTrainLoop
from tests.test_engine.training import Watch, tiny_config, train


def weights(runner):
    return {name: tensor.clone() for name, tensor in runner.model.state_dict().items()}


def assert_equal(first, second):
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        torch.testing.assert_close(tensor, second[name], rtol=0, atol=0, msg=name)


def stop_and_resume(tree, work_dir, **options):
    """Train 3 iterations, then go on in another runner; return the losses and that runner."""
    parts = [Watch(die_before=4), Watch()]
    with pytest.raises(KeyboardInterrupt):
        train(tiny_config(tree, work_dir, **options), parts[0])
    runner = train(tiny_config(tree, work_dir, **options, resume=True), parts[1])
    return parts, runner


@pytest.mark.slow
def test_a_resumed_training_equals_an_undisturbed_one(tree, tmp_path):
    """With augmentation, dropout, and a validation that the resumed part does not repeat."""
    options = {'train_dataloader.sampler.hemorrhage_share': 0.5, 'train_cfg.val_interval': 3}
    whole = Watch()
    undisturbed = weights(train(tiny_config(tree, tmp_path / 'whole', **options), whole))
    assert len({losses['loss'] for losses in whole.losses.values()}) == 6
    for workers in (0, 2):
        options['train_dataloader.num_workers'] = workers
        parts, resumed = stop_and_resume(tree, tmp_path / str(workers), **options)
        assert [list(part.losses) for part in parts] == [[1, 2, 3], [4, 5, 6]]
        assert parts[0].losses | parts[1].losses == whole.losses
        assert_equal(undisturbed, weights(resumed))


@pytest.mark.slow
def test_nothing_is_loaded_to_be_thrown_away(tree, tmp_path, monkeypatch):
    loaded = []
    prepare_data = CraniumDataset.prepare_data

    def note(self, idx):
        if 'train' in self.data_prefix['img_path']:
            loaded.append((int(idx), idx.seed))
        return prepare_data(self, idx)

    monkeypatch.setattr(CraniumDataset, 'prepare_data', note)
    _, runner = stop_and_resume(tree, tmp_path / 'work')
    # A batch of 2 had been loaded for the iteration that was not made.
    assert len(loaded) == 8 + 6
    assert loaded[6:8] == loaded[8:10]
    sampler = runner.train_dataloader.sampler
    # Of 6 iterations of 2 draws each.
    assert [sampler.draw(number).progress for number in (0, 1, 6, 11)] == [0, 0, 3 / 6, 5 / 6]
    sampler.start = 0
    draws = [(int(draw), draw.seed) for draw in itertools.islice(sampler, 12)]
    assert loaded[:6] + loaded[8:] == draws


@pytest.mark.parametrize('iteration', [0, 3])
def test_the_sampler_is_told_the_length_and_where_it_goes_on(monkeypatch, iteration):
    """Two processes of batch size 4: 8 draws per iteration."""
    monkeypatch.setattr(loops, 'get_world_size', lambda: 2)
    monkeypatch.setattr(IterBasedTrainLoop, 'run', lambda self: None)
    sampler = BalancedSampler(range(5), hemorrhage_share=None, seed=0)
    loop = object.__new__(ResumableTrainLoop)
    loop._runner = SimpleNamespace(message_hub=MessageHub('hub'))
    loop._iter, loop._max_iters = iteration, 4000
    loop.dataloader = SimpleNamespace(sampler=sampler, batch_size=4)
    loop.dataloader_iterator = iter(())
    loop.run()
    assert (sampler.max_iters, sampler.draws_per_iter) == (4000, 8)
    assert sampler.start == 8 * iteration
    assert next(iter(sampler)).progress == iteration / 4000


def test_the_seed_comes_from_the_checkpoint(tree, tmp_path):
    """Without a seed in the config each start has another one."""
    seeds = []

    class Note(Watch):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            seeds.append((runner.seed, runner.train_dataloader.sampler.seed))
            super().before_train_iter(runner, batch_idx)

    options = {'randomness.seed': None, 'randomness.diff_rank_seed': True}
    with pytest.raises(KeyboardInterrupt):
        train(tiny_config(tree, tmp_path / 'work', **options), Note(die_before=4))
    train(tiny_config(tree, tmp_path / 'work', **options, resume=True), Note())
    assert len(seeds) == 7 and len(set(seeds)) == 1


@pytest.mark.slow
def test_another_sampler_is_treated_as_mmengine_does(tree, tmp_path, monkeypatch):
    """It advances by loading: the same slices, though not the same augmentation."""
    drawn = []
    indices = InfiniteSampler._infinite_indices

    def note(self):
        for index in indices(self):
            drawn.append(index)
            yield index

    monkeypatch.setattr(InfiniteSampler, '_infinite_indices', note)
    options = {'train_dataloader.sampler': dict(_delete_=True, type='InfiniteSampler')}
    parts, _ = stop_and_resume(tree, tmp_path / 'work', **options)
    assert [list(part.losses) for part in parts] == [[1, 2, 3], [4, 5, 6]]
    assert drawn[:8] == drawn[8:16] and len(drawn) == 8 + 12


def test_dropout_differs_between_seeds_iterations_and_processes(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        IterBasedTrainLoop, 'run_iter', lambda self, batch: drawn.append(torch.rand(1).item())
    )
    loop = object.__new__(ResumableTrainLoop)
    for seed, iteration, rank in [(0, 0, 0), (0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]:
        monkeypatch.setattr(loops, 'get_rank', lambda rank=rank: rank)
        loop._runner, loop._iter = SimpleNamespace(seed=seed), iteration
        loop.run_iter([])
    assert drawn[0] == drawn[1] and len(set(drawn)) == 4
