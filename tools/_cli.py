"""What every command of this folder does alike: exit statuses, one-line errors, Ctrl-C."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path


def _interrupted(kind: type[BaseException], error: BaseException, trace: object) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print(f'{Path(sys.argv[0]).name}: interrupted', file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


# Ctrl-C while a command still imports, before `run` can catch it.
sys.excepthook = _interrupted


def run(main: Callable[[], int | None]) -> None:
    """Run a command and turn what stopped it into a line and an exit status.

    The rooms raise ``OSError`` or ``ValueError`` (and subclasses) whose message names the file,
    what is wrong and the remedy; anything else is a defect and keeps its traceback.

    Args:
        main (Callable): The command; what it returns is the exit status, ``None`` meaning 0.

    Raises:
        SystemExit: Always: 0 success, 1 error, 2 usage (by argparse), 130 interrupted.
    """
    try:
        status = main() or 0
        sys.stdout.flush()
    except KeyboardInterrupt:
        print(f'{Path(sys.argv[0]).name}: interrupted', file=sys.stderr)
        status = 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader (`| head`) has gone. Without this, the interpreter would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 128 + signal.SIGPIPE
    except (OSError, ValueError) as error:
        print(f'{Path(sys.argv[0]).name}: error: {error}', file=sys.stderr)
        status = 1
    sys.exit(status)
