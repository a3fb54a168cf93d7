"""The package as its users meet it: imports, commands, configs by name, and the wheel."""

import re
import shutil
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from cranium.cli import COMMANDS, GROUPS, cranium
from tests.conftest import ROOT, run_command

SMALL = 'unet-cranium_small_1xb8-8k_cranium-aligned-192x160'
QUICKSTART = 'unet-cranium_small_1xb8-300i_cranium-sample-96x80'
BASES = [
    'models/unet-cranium_small.py',
    'datasets/cranium_aligned-192x160.py',
    'default_runtime.py',
    'schedules/schedule_8k_adamw-cosine.py',
]


def run_python(code: str, python: str = sys.executable, **options) -> str:
    """Run lines of Python in a process of their own."""
    return run_command(python, '-c', textwrap.dedent(code), **options)


def test_importing_the_package_imports_nothing_else():
    new = run_python(
        """
        import sys
        before = set(sys.modules)
        import cranium
        print(*{name.split('.')[0] for name in set(sys.modules) - before})
        """
    )
    assert set(new.split()) <= {'cranium'}


def test_register_all_modules_makes_mmsegs_own_functions_work():
    output = run_python(
        f"""
        import cranium
        cranium.register_all_modules()
        from mmseg.apis import init_model
        print(type(init_model('configs/{SMALL}.py', device='cpu').decode_head).__name__)
        """
    )
    assert output.splitlines()[-1] == 'PriorFCNHead'


def test_help_of_every_command_imports_nothing_heavy():
    heavy = run_python(
        """
        import sys
        from click.testing import CliRunner
        from cranium.cli import COMMANDS, cranium
        for arguments in ([], *([name] for name in COMMANDS)):
            result = CliRunner().invoke(cranium, [*arguments, '--help'], catch_exceptions=False)
            assert result.exit_code == 0
        heavy = {'cv2', 'matplotlib', 'mmengine', 'mmseg', 'numpy', 'pandas', 'scipy', 'torch'}
        print(*heavy & set(sys.modules))
        """
    )
    assert heavy.split() == []


@pytest.mark.parametrize('name', COMMANDS)
def test_help_ends_with_an_example(name):
    text = CliRunner().invoke(cranium, [name, '--help']).output
    assert text.split('\n\n')[-1].strip().startswith(f'Example: cranium {name}')


def test_help_lists_every_command_in_its_group():
    parts = CliRunner().invoke(cranium, ['--help']).output.split('\n\n')
    for part, (group, names) in zip(parts[-len(GROUPS) :], GROUPS.items()):
        assert part.startswith(f'{group}:\n')
        assert re.findall(r'^  (\S+)', part, re.MULTILINE) == names


def test_tools_run_the_same_commands():
    """By path, as OpenMMLab's users expect; `make_sample` is no command."""
    files = {path.name for path in (ROOT / 'tools').glob('*.py')} - {'make_sample.py'}
    for name in files:
        lines = (ROOT / 'tools' / name).read_text().splitlines()
        assert lines[-1] == 'run(command)', name


def test_links_of_the_package_lead_into_the_repository():
    links = [path for path in (ROOT / 'cranium/.mim').rglob('*') if path.is_symlink()]
    assert {'configs', 'tools', 'checkpoints', 'sample', 'model_card.md'} <= {p.name for p in links}
    for link in links:
        assert not Path(link.readlink()).is_absolute()
        assert link.resolve(strict=True).is_relative_to(ROOT)


ACCEPT = 'from cranium.openmmlab import accept_cranium_configs; accept_cranium_configs()\n'


@pytest.mark.parametrize('name', [SMALL, f'{SMALL}.py'])
def test_mmengine_finds_configs_by_name(name):
    code = f'from mmengine.hub import get_config; print(get_config("cranium::{name}").filename)'
    found = run_python(ACCEPT + code).splitlines()[-1]
    assert Path(found).resolve() == ROOT / f'configs/{SMALL}.py'


def test_configs_may_inherit_from_the_package_and_are_built_without_a_warning(tmp_path):
    (tmp_path / 'mine.py').write_text(f'_base_ = {["cranium::_base_/" + name for name in BASES]}')
    code = """
        from mmengine.config import Config
        from mmengine.registry import init_default_scope
        config = Config.fromfile('mine.py')
        init_default_scope(config.default_scope)
        from mmseg.registry import HOOKS, MODELS, TRANSFORMS
        built = [MODELS.build(config.model)]
        built += [TRANSFORMS.build(step) for step in config.train_pipeline]
        built += [HOOKS.build(hook) for hook in config.custom_hooks]
        print(*[type(one).__name__ for one in built])
    """
    output = run_python(ACCEPT + textwrap.dedent(code), cwd=tmp_path)
    assert 'WARNING' not in output
    names = output.split()
    assert {'AlignedEncoderDecoder', 'PasteHemorrhage', 'PackSegInputs', 'CurvesHook'} <= {*names}


def test_names_that_do_not_exist_are_refused_as_ever():
    code = """
        from mmengine.hub import get_config
        for name in ('cranium::nothing', 'elsewhere::some/config.py'):
            try:
                get_config(name)
            except Exception as error:
                print(error)
    """
    ours, others = run_python(ACCEPT + textwrap.dedent(code)).splitlines()[-2:]
    assert 'configs/nothing.py" does not exist' in ours
    assert 'does not support to load elsewhere' in others


@pytest.fixture(scope='module')
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from a copy, since setuptools packs what it finds in an old `build/`."""
    source, out = tmp_path_factory.mktemp('source'), tmp_path_factory.mktemp('wheel')
    ignored = shutil.ignore_patterns('__pycache__')
    for folder in ('cranium', 'configs', 'tools', 'checkpoints', 'docs', 'data/sample'):
        shutil.copytree(ROOT / folder, source / folder, symlinks=True, ignore=ignored)
    files = 'README.md LICENSE setup.py pyproject.toml metafile.yml model-index.yml'
    for name in files.split():
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, '-m', 'pip', 'wheel', '--no-deps', '--no-build-isolation']
    run_command(*pip, '--wheel-dir', out, source)
    (path,) = out.glob('*.whl')
    return path


@pytest.mark.slow
def test_the_wheel_holds_what_a_user_needs(wheel):
    assert wheel.stat().st_size <= 8e6
    names = set(zipfile.ZipFile(wheel).namelist())
    needed = [path.relative_to(ROOT) for path in (ROOT / 'configs').rglob('*.py')]
    needed += [path.relative_to(ROOT) for path in (ROOT / 'data/sample').rglob('*.jpg')]
    needed += [Path('checkpoints', f'{SMALL}.pth'), Path('docs/model_card.md')]
    needed += [Path('tools/prepare_dataset.py'), Path('model-index.yml'), Path('metafile.yml')]
    assert {f'cranium/.mim/{path.as_posix()}' for path in needed} <= names
    code = [path for path in (ROOT / 'cranium').rglob('[!.]*.*') if path.suffix != '.pyc']
    assert {path.relative_to(ROOT).as_posix() for path in code} <= names
    assert not [name for name in names if '__pycache__' in name]
    assert {name.split('/')[0].split('-')[0] for name in names} == {'cranium', 'cranium.pth'}


@pytest.mark.slow
def test_from_the_wheel_to_a_report_in_an_empty_folder(wheel, tmp_path):
    """In an environment of its own, which borrows the installed dependencies."""
    environment, folder = tmp_path / 'environment', tmp_path / 'empty'
    folder.mkdir()
    run_command(sys.executable, '-m', 'venv', '--without-pip', environment)
    (site_packages,) = environment.glob('lib/*/site-packages')
    shared = next(path for path in sys.path if path.endswith('site-packages'))
    (site_packages / 'shared.pth').write_text(shared)
    python = environment / 'bin/python'
    install = [sys.executable, '-m', 'pip', '--python', python, 'install', '--no-deps']
    run_command(*install, '--ignore-installed', wheel)

    def run(*command) -> str:
        return run_command(*command, cwd=folder, env={'PYTHONPATH': ''})

    command, mim = environment / 'bin/cranium', (python, '-m', 'mim')
    files = Path(run(command, 'files').strip())
    assert files.is_relative_to(site_packages)
    (folder / 'mine.py').write_text(
        f"_base_ = 'cranium::{QUICKSTART}'\ntrain_cfg = dict(max_iters=2, val_interval=2)\n"
    )
    data = 'work_dirs/quickstart/data'
    prepare = [command, 'prepare', '--source', files / 'data/sample', '--out', data]
    run(*prepare, '--window', 'hu')
    run(*mim, 'train', 'mmseg', 'mine.py')
    run(*mim, 'test', 'mmseg', 'mine.py', '--checkpoint', 'work_dirs/mine/iter_2.pth')
    run(command, 'report', 'work_dirs/mine', '--out', 'report.html')
    assert '</html>' in (folder / 'report.html').read_text()
    config, weights = files / f'configs/{SMALL}.py', files / f'checkpoints/{SMALL}.pth'
    options = ['--cfg-options', f'test_dataloader.dataset.data_root={data}']
    tested = run(*mim, 'test', 'mmseg', config, '--checkpoint', weights, *options)
    assert 'patient/authors_dice' in tested
    assert SMALL in run(*mim, 'search', 'cranium')
    get = f'from mmengine.hub import get_config; print(get_config("cranium::{SMALL}").filename)'
    assert str(config) in run(python, '-c', get)


@pytest.mark.slow
def test_the_light_install_predicts_without_torch(wheel, tmp_path):
    """As docs/inference.md says, in a fresh environment."""
    onnx, out = tmp_path / 'unet.onnx', tmp_path / 'out'
    run_command('cranium', 'export', '--out', onnx)
    run_command(sys.executable, '-m', 'venv', tmp_path / 'light')
    pip = [tmp_path / 'light/bin/pip', 'install', '--quiet']
    run_command(*pip, '-r', ROOT / 'requirements/onnx.txt')
    run_command(*pip, '--no-deps', wheel)
    assert 'torch' not in run_command(tmp_path / 'light/bin/pip', 'list')
    picture = ROOT / 'data/sample/Patients_CT/071/brain/15.jpg'
    command = [tmp_path / 'light/bin/cranium', 'predict', picture, '--out', out]
    env = {'PYTHONPATH': ''}
    assert 'hemorrhage' in run_command(*command, '--checkpoint', onnx, cwd=tmp_path, env=env)
    assert list((out / 'mask').glob('*.png'))
    said = run_command(*command, '--overwrite', cwd=tmp_path, env=env, status=1)
    assert 'torch, mmseg not installed; pip install cranium, or name an .onnx file' in said
