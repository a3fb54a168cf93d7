"""The folds of a cross-validation: what each trains and tests on, how far it is, and running it.

A fold trains on all patients that it does not test, for the schedule of its config, and its last
checkpoint is tested. Nothing is validated, so nothing is chosen on the patients who are tested.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout
from mmengine.config import Config, ConfigDict, DictAction

from cranium.engine.hooks import data_sha256
from cranium.errors import CraniumError
from cranium.manifest import IMAGES, MASKS, read_manifest
from cranium.splits import ALWAYS_TRAINED, SPLITS, read_splits

NEW, INTERRUPTED, TRAINED, FINISHED = 'new', 'interrupted', 'trained', 'finished'

_DECIDED = re.compile(r'val_|work_dir|(train|test)_dataloader(\.dataset)+\.(data_|patients)')
_PATIENCE = 40.0  # seconds that a training has to end in; torchrun gives its processes 30


def read_folds(tree: Path) -> list[tuple[list[str], list[str]]]:
    """Read of each fold of a prepared tree the patients to train on and those to test.

    Raises:
        CraniumError: If there is no tree whose splits have folds of patients.
    """
    if not (tree / SPLITS).is_file():
        msg = f'{tree}: no prepared tree; make one: cranium prepare --split authors --out {tree}'
        raise CraniumError(msg)
    splits, rows = read_splits(tree / SPLITS), read_manifest(tree)
    if splits.protocol == 'slice':
        msg = f'{tree}: split by slices, so that patients would be both trained on and tested'
        raise CraniumError(f'{msg}; prepare it with --split authors or --split patient')
    present = set(rows.loc[rows['image'] != '', 'patient'])
    always = {ALWAYS_TRAINED} if splits.protocol == 'authors' else set()
    tested = [present & set(members) - always for members in splits.folds]
    return [(sorted(present - test), sorted(test)) for test in tested]


def fold_config(
    experiment: Path,
    options: Sequence[str],
    tree: Path,
    patients: tuple[Sequence[str], Sequence[str]],
    folder: Path,
) -> Config:
    """Make the config of a fold, complete and without ``_base_``.

    Args:
        experiment (Path): The config of the experiment.
        options (Sequence[str]): Settings ``key=value``, as for mim's ``--cfg-options``.
        tree (Path): The prepared tree.
        patients (tuple): Those to train on and those to test.
        folder (Path): The work directory of the training.

    Raises:
        CraniumError: If the config or an option does not suit a cross-validation.
    """
    for option in options:
        if '=' not in option or _DECIDED.match(option):
            msg = f'--cfg-options {option}: expected key=value, of a key that the folds do not set'
            raise CraniumError(msg)
    config = load_experiment(experiment, options)
    for name, chosen in zip(('train_dataloader', 'test_dataloader'), patients):
        _, dataset = _innermost(config, name)
        if 'data_root' not in dataset:
            raise CraniumError(f'{experiment}: {name} has no single data set with a data_root')
        prefix = dict(img_path=IMAGES, seg_map_path=MASKS)
        dataset.update(data_root=str(tree.resolve()), data_prefix=prefix, patients=list(chosen))
    config.update(val_dataloader=None, val_cfg=None, val_evaluator=None, work_dir=str(folder))
    config.merge_from_dict({'cross_validation.data_sha256': data_sha256(tree)})
    evaluator = config.test_evaluator
    if evaluator.get('type') != 'HemorrhageMetric' or not evaluator.get('report'):
        msg = f'{experiment}: test_evaluator writes no results; set HemorrhageMetric, report=True'
        raise CraniumError(msg)
    return config


def load_experiment(path: Path, options: Sequence[str]) -> Config:
    """Read a config, with settings ``key=value`` as for mim's ``--cfg-options``.

    Raises:
        CraniumError: If a setting does not suit the config.
    """
    parser = ArgumentParser()
    parser.add_argument('--options', nargs='*', action=DictAction)
    config = _load(path)
    try:
        config.merge_from_dict(parser.parse_args(['--options', *options]).options)
    except (KeyError, TypeError, AssertionError) as error:
        raise CraniumError(f'--cfg-options do not fit {path} ({error})') from error
    return config


class Fold:
    """The training and the test of a fold.

    Args:
        config (Config): Of the fold, see :func:`fold_config`.
        launcher (Sequence[str]): Options of mim that start several processes. Defaults to none.
        alone (bool): Test each slice as if it was the only one of its scan. Defaults to False.

    Raises:
        CraniumError: The network does not see slices in their scan, so there is no such test.
    """

    def __init__(self, config: Config, launcher: Sequence[str] = (), alone: bool = False) -> None:
        self.config, self.launcher = config, launcher
        self.test_options = _alone(config) if alone else ()
        self.folder = Path(config.work_dir)  # of the training; the test writes into a folder below
        self.tested = self.folder / ('test-alone' if alone else 'test')
        self.results = self.tested / 'evaluation'
        # `fold_1.py` beside `fold_1`: anybody can run the fold again by it.
        self.config_file = self.folder.with_suffix('.py')
        end = config.train_cfg
        name = f'iter_{end.max_iters}' if 'max_iters' in end else f'epoch_{end.max_epochs}'
        self.final_checkpoint = self.folder / f'{name}.pth'

    @property
    def last_checkpoint(self) -> Path | None:
        """The last checkpoint that was written whole; None where there is none."""
        note = self.folder / 'last_checkpoint'
        if not note.is_file():
            return None
        # Only its name counts, as the folder may have been moved. A training that keeps a single
        # checkpoint and was killed at the wrong moment has none.
        last = self.folder / Path(note.read_text(encoding='utf-8').strip()).name
        return last if last.is_file() else None

    def state(self) -> str:
        """Tell how far the fold is: new, interrupted in its training, trained or finished.

        Raises:
            CraniumError: If what is there was made with other settings, or a network that was
                tested before is gone.
        """
        if self.config_file.is_file():
            self._compare(_load(self.config_file))
        if _is_tested(self.tested):
            return FINISHED
        if self.last_checkpoint is None:
            if _is_tested(self.folder / 'test'):
                msg = f'{self.final_checkpoint}: is gone, so that what was tested in its scans'
                raise CraniumError(f'{msg} cannot be tested alone; use another --work-dir')
            return NEW
        return TRAINED if self.last_checkpoint == self.final_checkpoint else INTERRUPTED

    def _compare(self, found: Config) -> None:
        """Refuse a config that differs in more than the places of tree and work directory."""
        wanted, made_with = _flat(self.config.to_dict()), _flat(found.to_dict())
        for key in sorted({*wanted, *made_with}):
            moved = key == 'work_dir' or key.endswith('.data_root')
            if not moved and wanted.get(key) != made_with.get(key):
                raise CraniumError(
                    f'{self.folder}: made with {key}={made_with.get(key)!r}, now it is '
                    f'{wanted.get(key)!r}; use another --work-dir, or move this folder away'
                )

    def commands(self, state: str) -> list[list[str]]:
        """List what is left to be called, each command by its arguments."""
        call = ['mmseg', str(self.config_file), *self.launcher, '--work-dir']
        train = ['mim', 'train', *call, str(self.folder)]
        if state == INTERRUPTED:
            train += ['--resume', '--cfg-options', f'load_from={self.last_checkpoint}']
        test = ['mim', 'test', *call, str(self.tested)]
        test += ['--checkpoint', str(self.final_checkpoint)]
        if self.test_options:
            test += ['--cfg-options', *self.test_options]
        return {FINISHED: [], TRAINED: [test]}.get(state, [train, test])

    def run(self) -> None:
        """Do what is left of the fold.

        Raises:
            CraniumError: If another run is at work on it, it was made with other settings, or a
                command fails.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            lock = FileLock(self.folder / '.lock').acquire(timeout=0)
        except Timeout:
            msg = f'{self.folder}: another run is at work on it; wait, or choose others by --fold'
            raise CraniumError(msg) from None
        with lock:
            state, log = self.state(), self.folder / 'log'
            if state == NEW:
                partial = self.folder / 'config'
                partial.write_text(self.config.pretty_text, encoding='utf-8')
                partial.replace(self.config_file)
            for command in self.commands(state):
                if status := run_logged([sys.executable, '-m', *command], log):
                    raise CraniumError(
                        f'{self.folder}: mim {command[1]} ended with status {status}, see {log}'
                        '; the same command again goes on from there'
                    )


def run_logged(command: Sequence[str], log: Path) -> int:
    """Run a command, of which all output goes to the terminal and is appended to a file.

    It and all that it starts end with this process, be it by Ctrl-C, by ``kill`` (as of a batch
    system) or because its terminal closes. Returns its exit status, negative where a signal ended
    it.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:  # else it is to be ignored, as by nohup
            signal.signal(number, lambda number, frame: sys.exit(128 + number))
    with open(log, 'ab') as file:
        file.write(f'$ {shlex.join(command)}\n'.encode())
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={'PYTHONWARNINGS': 'ignore', **os.environ, 'PYTHONUNBUFFERED': '1'},
            start_new_session=True,
        )
        assert child.stdout
        try:
            while text := os.read(child.stdout.fileno(), 1 << 16):
                for stream in (file, sys.stdout.buffer):
                    stream.write(text)
                    stream.flush()
            return child.wait()
        except BaseException:
            for number in (signal.SIGTERM, signal.SIGKILL):
                with suppress(ProcessLookupError, subprocess.TimeoutExpired):
                    os.killpg(child.pid, number)
                    child.communicate(timeout=_PATIENCE)  # until none of them can write any more
            raise


def _alone(config: Config) -> tuple[str, ...]:
    """Options by which a test takes each slice for a lone one, whose score nothing can smooth."""
    place, dataset = _innermost(config, 'test_dataloader')
    types = [step['type'] for step in dataset.get('pipeline', ())]
    if 'LoadScan' not in types:
        msg = '--alone is for networks that see slices in their scan'
        raise CraniumError(f'{msg}; the test pipeline has no LoadScan, so leave it out')
    return (
        f'{place}.pipeline.{types.index("LoadScan")}.alone=True',
        'test_evaluator.score_smoothing=0',
        'test_evaluator.operating_point=None',  # which is for smoothed scores
    )


def _is_tested(folder: Path) -> bool:
    return (folder / 'evaluation' / 'summary.json').is_file()


def _innermost(config: Config, loader: str) -> tuple[str, ConfigDict]:
    """The data set of a loader within RepeatDataset and the like, and its place in the config."""
    place, dataset = f'{loader}.dataset', config[loader].dataset or ConfigDict()
    while 'dataset' in dataset:
        place, dataset = f'{place}.dataset', dataset['dataset']
    return place, dataset


def _load(file: Path) -> Config:
    # What the config wants to import takes seconds, and is not needed to read it.
    return Config.fromfile(file, import_custom_modules=False)


def _flat(nested: Mapping[str, object], prefix: str = '') -> dict[str, object]:
    """Nested dicts as one, by dotted keys."""
    flat: dict[str, object] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f'{prefix}{key}.')
        else:
            flat[prefix + key] = value
    return flat
