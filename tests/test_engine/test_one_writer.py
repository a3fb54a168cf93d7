from types import SimpleNamespace

import pytest
from mmengine.hooks import LoggerHook
from mmengine.logging import MMLogger

import cranium.engine  # noqa: F401  (it is mended here)


@pytest.mark.parametrize('rank, files', [(0, ['figures.json']), (1, [])])
def test_the_main_process_writes_the_figures_of_a_test(tmp_path, monkeypatch, rank, files):
    monkeypatch.setattr('mmengine.dist.utils.get_rank', lambda group=None: rank)
    found = ({'mDice': 50.0}, 'mDice: 50.0')
    processor = SimpleNamespace(get_log_after_epoch=lambda *args, **kwargs: found)
    runner = SimpleNamespace(
        log_processor=processor,
        test_dataloader=[],
        logger=MMLogger.get_instance('one_writer'),
        log_dir=str(tmp_path),
    )
    hook = LoggerHook()
    hook.json_log_path = 'figures.json'
    hook.after_test_epoch(runner)
    assert [path.name for path in tmp_path.iterdir()] == files
