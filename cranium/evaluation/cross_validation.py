"""Running the folds of a cross-validation: what is called, how far a fold is, and calling it.

A fold lies in its own folder, the work directory of its training: ``data`` (the prepared tree),
checkpoints, ``test/evaluation`` (results) and ``cross_validate.log``. It trains on all patients
that it does not test, for a fixed schedule, and its last checkpoint is tested. Nothing is
validated, so nothing is chosen on the patients who are tested.
"""

import argparse
import copy
import fcntl
import os
import select
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import BinaryIO

from mmengine.config import Config, DictAction

from cranium.evaluation.provenance import describe_file
from cranium.evaluation.results import SUMMARY, read_summary
from cranium.splits import SPLITS

# How far a fold is.
NEW, INTERRUPTED, TRAINED, FINISHED = 'new', 'interrupted', 'trained', 'finished'

LOG = 'cross_validate.log'
NOT_VALIDATED = ('val_dataloader=None', 'val_cfg=None', 'val_evaluator=None')

# What differs between calls without changing a figure: where things lie, and mmseg's own notes.
_NO_MATTER = ('work_dir', 'launcher', 'resume')

# Seconds that a training has to end in, once it was asked to; torchrun gives its processes 30.
_PATIENCE = 40


@dataclass(frozen=True)
class Launch:
    """How mim starts processes.

    Args:
        launcher (str): ``none``, ``pytorch`` or ``slurm``. Defaults to ``none``.
        processes (int): Of them all, one a GPU. Defaults to 1.
        per_node (int, optional): On each node, for ``slurm``. Defaults to all.
        partition (str, optional): Needed for ``slurm``.
    """

    launcher: str = 'none'
    processes: int = 1
    per_node: int | None = None
    partition: str | None = None

    def arguments(self) -> list[str]:
        """What ``mim train`` and ``mim test`` are given."""
        if self.launcher == 'none':
            return []
        arguments = ['--launcher', self.launcher, '--gpus', str(self.processes)]
        if self.launcher == 'slurm':
            arguments += ['--gpus-per-node', str(self.per_node or self.processes)]
            arguments += ['--partition', str(self.partition)]
        return arguments


@dataclass(frozen=True)
class FoldRun:
    """The training and the test of one fold.

    Args:
        config_file (Path): The experiment.
        folder (Path): The folder of the fold.
        options (tuple): Settings ``key=value`` of the user, as for mim's ``--cfg-options``.
        about (mapping): What the figures depend on beside the config, such as the window; kept
            in the config as ``cross_validation``.
        launch (Launch): How processes are started.

    Raises:
        OSError: If the config cannot be read (by :attr:`config`).
        ValueError: If the config is not one for a cross-validation (likewise); the message says
            why.
    """

    config_file: Path
    folder: Path
    options: tuple[str, ...] = ()
    about: Mapping[str, object] | None = None
    launch: Launch = Launch()

    @property
    def data(self) -> Path:
        """The prepared tree."""
        return self.folder / 'data'

    @property
    def results(self) -> Path:
        """The folder of the results."""
        return self.folder / 'test' / 'evaluation'

    @property
    def log(self) -> Path:
        """What training and test print."""
        return self.folder / LOG

    @cached_property
    def overrides(self) -> list[str]:
        """All settings that differ from the config's, the user's first."""
        config = _read_config(self.config_file, self.options)
        own = [*NOT_VALIDATED]
        for loader, split in (('train_dataloader', 'train'), ('test_dataloader', 'test')):
            key = '.'.join(_innermost(config, loader))
            own.append(f'{key}.data_root={self.data}')
            own.append(f'{key}.data_prefix.img_path=images/{split}')
            own.append(f'{key}.data_prefix.seg_map_path=masks/{split}')
        about = {**(self.about or {}), 'processes': self.launch.processes}
        own += [f'cross_validation.{key}={value}' for key, value in about.items()]
        taken = {_key(option) for option in self.options} & {_key(option) for option in own}
        if taken:
            raise ValueError(f'--cfg-options: {min(taken)} is decided by the cross-validation')
        return [*self.options, *own]

    @cached_property
    def config(self) -> Config:
        """The config that the fold is trained and tested with."""
        config = _read_config(self.config_file, self.overrides)
        dataset = config
        for name in _innermost(config, 'test_dataloader'):
            dataset = dataset[name]
        if dataset['data_root'] != str(self.data):
            msg = f"{self.data}: mim's --cfg-options cannot hold this path, but would read "
            raise ValueError(f'{msg}{dataset["data_root"]}; use a --work-dir of plain letters')
        _check_evaluator(config)
        return config

    @property
    def final_checkpoint(self) -> str | None:
        """Name of the checkpoint at the end of the schedule; None where that cannot be told."""
        schedule = self.config.get('train_cfg') or {}
        hook = (self.config.get('default_hooks') or {}).get('checkpoint') or {}
        by_epoch = hook.get('by_epoch', True)
        length = schedule.get('max_epochs' if by_epoch else 'max_iters')
        template = hook.get('filename_tmpl') or ('epoch_{}.pth' if by_epoch else 'iter_{}.pth')
        return template.format(length) if length else None

    def last_checkpoint(self) -> Path | None:
        """The last checkpoint that was written whole, None where there is none."""
        try:
            text = (self.folder / 'last_checkpoint').read_text(encoding='utf-8')
        except FileNotFoundError:
            return None
        # Only its name counts: the folder may have been moved.
        file = self.folder / Path(text.strip()).name
        # Killed at the wrong moment, a training that keeps one checkpoint has none.
        return file if file.is_file() else None

    def state(self) -> str:
        """How far the fold is.

        Returns:
            str: ``new``, ``interrupted`` (in training), ``trained`` or ``finished``.

        Raises:
            ValueError: If what is there was made in another way; the message says what differs.
        """
        final = self.final_checkpoint
        if (self.results / SUMMARY).is_file():
            self._check_results()
            return FINISHED
        last = self.last_checkpoint()
        if last is None:
            return NEW
        dumped = self.folder / self.config_file.name
        if not dumped.is_file():
            raise ValueError(self._refusal(f'{dumped.name}, the config of its checkpoint, is gone'))
        self._check_config(_load(dumped))
        return TRAINED if last.name == final else INTERRUPTED

    def commands(self, state: str) -> list[list[str]]:
        """What remains to be called.

        Args:
            state (str): From :meth:`state`.

        Returns:
            list: Of each command its arguments.
        """
        call = [str(self.config_file), *self.launch.arguments(), '--work-dir']
        settings = ['--cfg-options', *self.overrides]
        train = [_mim(), 'train', 'mmseg', *call, str(self.folder)]
        train += ['--resume'] * (state == INTERRUPTED)
        checkpoint = self.last_checkpoint() if state == TRAINED else None
        checkpoint = checkpoint or self.folder / (self.final_checkpoint or 'LAST_CHECKPOINT')
        test = [_mim(), 'test', 'mmseg', *call, str(self.folder / 'test')]
        test += ['--checkpoint', str(checkpoint)]
        return {
            NEW: [train + settings, test + settings],
            INTERRUPTED: [train + settings, test + settings],
            TRAINED: [test + settings],
            FINISHED: [],
        }[state]

    def train(self, state: str, keep_open: Sequence[int] = ()) -> None:
        """Train, from the last checkpoint where there is one, to the end of the schedule.

        Args:
            state (str): ``new`` or ``interrupted``.
            keep_open (sequence): File descriptors that the training inherits.

        Raises:
            OSError: If the training fails (``ChildProcessError``).
            ValueError: If it leaves no checkpoint of its end.
        """
        self._call(self.commands(state)[0], keep_open)
        last = self.last_checkpoint()
        if last is None or self.final_checkpoint not in (None, last.name):
            raise ValueError(
                f'{self.folder}: the training ended, but its last checkpoint is '
                f'{last and last.name}, not {self.final_checkpoint}; let '
                'default_hooks.checkpoint.interval divide the schedule, or set its save_last'
            )

    def test(self, keep_open: Sequence[int] = ()) -> None:
        """Test the last checkpoint.

        Args:
            keep_open (sequence): File descriptors that the test inherits.

        Raises:
            OSError: If the test fails (``ChildProcessError``).
            ValueError: If it leaves no results.
        """
        self._call(self.commands(TRAINED)[0], keep_open)
        if not (self.results / SUMMARY).is_file():
            raise ValueError(f'{self.results}: the test wrote no {SUMMARY}; see {self.log}')

    @contextmanager
    def held(self) -> Iterator[int]:
        """Hold the fold for one run.

        Yields:
            int: The file descriptor of the lock: as long as a process has it, the fold is held.

        Raises:
            BlockingIOError: If another run holds it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / '.cross_validate.lock', 'w') as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                msg = f'{self.folder}: another run is at work on it; wait for its end'
                raise BlockingIOError(f'{msg}, or name other folds with --fold') from error
            yield lock.fileno()

    def _call(self, command: Sequence[str], keep_open: Sequence[int]) -> None:
        status = run_logged(command, self.log, keep_open)
        if status:
            raise ChildProcessError(
                f'{self.folder.name}: mim {command[1]} ended with status {status}, and why is in '
                f'{self.log}; mend it and run the same command again, which goes on from there'
            )

    def _check_results(self) -> None:
        provenance = read_summary(self.results / SUMMARY)['provenance']
        text = provenance.get('config')
        if not text:
            raise ValueError(self._refusal('its results do not tell the config'))
        self._check_config(_parse_config(text), 'load_from')
        checkpoint = provenance.get('checkpoint')
        checkpoint = checkpoint if isinstance(checkpoint, Mapping) else {'file': str(checkpoint)}
        file = self.folder / Path(checkpoint['file']).name
        if self.final_checkpoint not in (None, file.name):
            msg = f'its results are of {file.name}, not of {self.final_checkpoint}'
            raise ValueError(self._refusal(msg))
        if file.is_file() and describe_file(file)['sha256'] != checkpoint.get('sha256'):
            raise ValueError(self._refusal(f'its results are of another {file.name} than is there'))
        splits = self.data / SPLITS
        recorded = (provenance.get('splits') or {}).get('sha256')
        if not splits.is_file() or describe_file(splits)['sha256'] != recorded:
            raise ValueError(self._refusal(f'its results are of other data than {self.data}'))

    def _check_config(self, found: Config, *no_matter: str) -> None:
        ignored = (*_NO_MATTER, *no_matter)
        wanted, found = _flat(self.config.to_dict()), _flat(found.to_dict())
        for key in sorted({*wanted, *found}):
            if key.split('.')[0] in ignored or key.endswith('.data_root'):
                continue
            if wanted.get(key) != found.get(key):
                msg = f'made with {key} {found.get(key)!r}, now it is {wanted.get(key)!r}'
                raise ValueError(self._refusal(msg))

    def _refusal(self, reason: str) -> str:
        return f'{self.folder}: {reason}; use another --work-dir, or move this folder away'


def run_logged(command: Sequence[str], log: Path, keep_open: Sequence[int] = ()) -> int:
    """Run a command; what it prints goes to the terminal and to a file.

    The command and all that it starts are a group of their own, which is ended when this process
    is: by Ctrl-C, by ``kill`` (as of a batch system) or as its terminal closes.

    Args:
        command (sequence): The command.
        log (Path): The file, to be appended to.
        keep_open (sequence): File descriptors that the command inherits.

    Returns:
        int: Its exit status, negative where a signal ended it.

    Raises:
        OSError: If it cannot be started.
        SystemExit: If this process was told to end.
    """
    environment = os.environ | {
        'PATH': f'{Path(sys.executable).parent}{os.pathsep}{os.environ.get("PATH", "")}',
        'PYTHONUNBUFFERED': '1',
        # OpenMMLab's tools warn about their own imports.
        'PYTHONWARNINGS': os.environ.get('PYTHONWARNINGS', 'ignore'),
    }
    with open(log, 'ab') as file, _ending_politely():
        file.write(f'$ {shlex.join(command)}\n'.encode())
        file.flush()
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
            pass_fds=keep_open,
        )
        try:
            while text := os.read(child.stdout.fileno(), 1 << 16):
                _print(text, file)
            return child.wait()
        except BaseException:
            _end(child, file)
            raise
        finally:
            child.stdout.close()


@contextmanager
def _ending_politely() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise, as Ctrl-C does, so that a command can be ended with us."""

    def leave(number: int, frame: object) -> None:
        sys.exit(128 + number)

    before = {}
    for number in (signal.SIGTERM, signal.SIGHUP):
        # nohup and the like want it to be ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, leave)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print(text: bytes, log: BinaryIO) -> None:
    log.write(text)
    log.flush()
    sys.stdout.flush()
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()


def _end(child: subprocess.Popen, log: BinaryIO) -> None:
    """End a command and all that it started; by force where it takes too long or on a second try.

    The first process of the group ends before the others; they have ended when nobody can write
    to the pipe any more.
    """
    try:
        _signal(child, signal.SIGTERM)
        deadline = time.monotonic() + _PATIENCE
        while (left := deadline - time.monotonic()) > 0:
            if select.select([child.stdout], [], [], left)[0]:
                text = os.read(child.stdout.fileno(), 1 << 16)
                if not text:
                    break
                log.write(text)
    finally:
        _signal(child, signal.SIGKILL)
        child.wait()


def _signal(child: subprocess.Popen, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.pid, number)


def _mim() -> str:
    """The ``mim`` of this environment, whether it is activated or not."""
    return str(Path(sys.executable).with_name('mim'))


def _key(option: str) -> str:
    return option.split('=', maxsplit=1)[0]


def _read_config(file: Path, options: Sequence[str]) -> Config:
    """The config with settings as mmseg's tools read them."""
    if without := [option for option in options if '=' not in option]:
        raise ValueError(f'--cfg-options: {without[0]!r} is not key=value')
    config = copy.deepcopy(_base_config(file))
    parser = argparse.ArgumentParser()
    parser.add_argument('--options', nargs='*', action=DictAction)
    try:
        config.merge_from_dict(parser.parse_args(['--options', *options]).options)
    except (KeyError, TypeError, AssertionError) as error:
        raise ValueError(f'--cfg-options do not fit {file} ({error})') from error
    return config


def _parse_config(text: str) -> Config:
    with tempfile.NamedTemporaryFile('w', suffix='.py', encoding='utf-8') as file:
        file.write(text)
        file.flush()
        return _load(file.name)


@lru_cache(maxsize=1)
def _base_config(file: Path) -> Config:
    """The config of the experiment, which is the same for all folds."""
    return _load(file)


def _load(file: str | Path) -> Config:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of packages that mmengine imports
        # What the config wants to import takes seconds, and is not needed to read it.
        return Config.fromfile(file, import_custom_modules=False)


def _innermost(config: Config, loader: str) -> list[str]:
    """Where in the config the data set of a loader is, inside of its wrappers."""
    names = [loader, 'dataset']
    dataset = (config.get(loader) or {}).get('dataset') or {}
    while 'dataset' in dataset:
        names.append('dataset')
        dataset = dataset['dataset']
    if 'type' not in dataset or 'datasets' in dataset:
        raise ValueError(f'{loader}: a cross-validation needs one data set of prepared slices')
    return names


def _check_evaluator(config: Config) -> None:
    evaluators = config.get('test_evaluator') or []
    evaluators = evaluators if isinstance(evaluators, list) else [evaluators]
    for evaluator in evaluators:
        if evaluator.get('type') == 'HemorrhageMetric' and evaluator.get('report'):
            if evaluator.get('results_dir'):
                raise ValueError('test_evaluator: results_dir is decided by the cross-validation')
            return
    raise ValueError('test_evaluator: a cross-validation needs HemorrhageMetric with report=True')


def _flat(value: object, prefix: str = '') -> dict[str, object]:
    """Nested dicts as one, by dotted keys."""
    if not isinstance(value, Mapping) or not value:
        return {prefix: value}
    flat = {}
    for key, item in value.items():
        flat |= _flat(item, f'{prefix}.{key}' if prefix else str(key))
    return flat
