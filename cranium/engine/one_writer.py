"""Gap 4: every process of a test writes its figures to the same JSON file.

Needed by: mmengine <= 0.10.7, whose ``LoggerHook`` dumps them in all processes at once, which can
leave a file that is no JSON. Delete when ``LoggerHook.after_test_epoch`` is for the main process.
"""

from mmengine.dist import master_only
from mmengine.hooks import LoggerHook


def let_one_write() -> None:
    """Let only the main process log and write the figures of a test."""
    LoggerHook.after_test_epoch = master_only(LoggerHook.after_test_epoch)
