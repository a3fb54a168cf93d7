"""The command ``cranium``: one thin module per subcommand, loaded when it is called.

Modules of this folder import nothing but click at their top, so that ``--help`` is fast; each
defines ``command``. The files of ``tools/`` run the same commands by path.
"""

import os
import signal
import sys
from importlib import import_module
from typing import NoReturn

import click

from cranium.errors import CraniumError
from cranium.version import __version__

GROUPS = {  # the subcommands, in the order in which one needs them
    'Scans': ['predict', 'demo'],
    'Data': ['prepare', 'check', 'statistics', 'sheets'],
    'Experiments': ['cross-validate', 'evaluate', 'compare', 'results-table', 'publish', 'export'],
    'Pictures': ['report', 'curves', 'contact-sheet', 'pipeline'],
    'This installation': ['files', 'env'],
}
COMMANDS = [name for names in GROUPS.values() for name in names]


class _Lazy(click.Group):
    """A group that imports a subcommand when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return COMMANDS

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = import_module(f'cranium.cli.{name.replace("-", "_")}').command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for group, names in GROUPS.items():
            found = [(name, command) for name in names if (command := self.get_command(ctx, name))]
            with formatter.section(group):
                formatter.write_dl([(name, c.get_short_help_str(100)) for name, c in found])


@click.group(cls=_Lazy, context_settings={'help_option_names': ['-h', '--help']})
@click.version_option(__version__, prog_name='cranium')
def cranium() -> None:
    """Segment intracranial hemorrhage on head CT with MMSegmentation.

    Training and testing are mmseg's own: mim train mmseg CONFIG, mim test mmseg CONFIG.
    """


def run(command: click.Command) -> NoReturn:
    """Run a command as a program and turn what stopped it into a line and an exit status.

    Only :class:`CraniumError` and ``OSError``, which the user can put right, become one line;
    anything else is a defect and keeps its traceback.

    Raises:
        SystemExit: Always: 0 success, 1 error, 2 usage, 130 interrupted, 141 broken pipe.
    """
    try:
        status = command.main(standalone_mode=False) or 0
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo('interrupted', err=True)
        status = 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader (`| head`) has gone. Without this, the interpreter would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 128 + signal.SIGPIPE
    except (CraniumError, OSError) as error:
        click.echo(f'error: {error}', err=True)
        status = 1
    sys.exit(status)


def main() -> NoReturn:
    """Run ``cranium``, as its entry point does."""
    run(cranium)
