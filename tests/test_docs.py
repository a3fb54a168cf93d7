"""What the documentation names exists."""

import re

import pytest

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


def test_readme_names_each_experiment():
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    for config in (ROOT / 'configs').glob('*.py'):
        assert config.name in text or 'sample' in config.name
