"""What the documentation names exists."""

import re
import shlex

import click
import pytest

from cranium.cli import cranium
from tests.conftest import ROOT

PAGES = sorted([*ROOT.glob('*.md'), *ROOT.glob('docs/*.md'), *ROOT.glob('data/**/*.md')])


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_files_exist(page):
    text = page.read_text(encoding='utf-8')
    links = re.findall(r'\]\((?!https?:|#)([^)#]+)', text)
    named = re.findall(r'(?<![\w/])(?:tools|configs)/[\w./-]+\.py', text)
    missing = [link for link in links if not (page.parent / link).exists()]
    missing += [name for name in named if not (ROOT / name).exists()]
    assert not missing


def commands_of(text: str) -> list[list[str]]:
    """The words of each command line in the shell blocks of a page."""
    blocks = re.findall(r'```shell\n(.*?)```', text, re.DOTALL)
    lines = ''.join(blocks).replace('\\\n', ' ').splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_their_options_exist(page):
    context = click.Context(cranium)
    for program, name, *words in filter(
        lambda words: len(words) > 1, commands_of(page.read_text())
    ):
        if program == 'make' and '=' not in name:
            assert re.search(rf'^{name}:', (ROOT / 'Makefile').read_text(), re.MULTILINE), name
        if program == 'cranium':
            command = cranium.get_command(context, name)
            assert command is not None, name
            known = {opt for param in command.get_params(context) for opt in param.opts}
            assert {word for word in words if word.startswith('--')} <= known, name


def test_readme_names_each_experiment():
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    for config in (ROOT / 'configs').glob('*.py'):
        assert config.name in text or 'sample' in config.name
