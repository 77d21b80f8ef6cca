"""Pages link to what is there and are linked to, and the commands and the Python in them are such."""

import ast
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click
import pytest

from wse_sim.cli.app import main

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "examples" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
GUIDES = sorted((ROOT / "docs" / "how-to").glob("*.md"))

FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
COMMAND = re.compile(r"^ *(?:\$ )?wse-sim ((?:.*\\\n)*.*)$", re.MULTILINE)
MENTIONED = re.compile(r"`wse-sim\s([^`]*)`")
REMARK = re.compile(r"\s{2,}.*|\s>.*")  # behind a command: what it does, or the file that it fills
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(text: str) -> set[str]:
    """Names under which a page's headings are linked to."""
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in HEADING.findall(FENCED.sub("", text))}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    for target, anchor in LINK.findall(FENCED.sub("", page.read_text())):
        path = page.parent / target if target else page
        assert path.exists(), f"{name(page)} links to {target}, which is not there"
        assert not anchor or anchor in anchors(path.read_text()), f"{name(page)}: {target} has no heading #{anchor}"


@pytest.mark.parametrize("guide", GUIDES, ids=name)
def test_every_python_block_of_a_guide_is_python(guide: Path) -> None:
    for block in PYTHON.findall(guide.read_text()):
        ast.parse(block, filename=name(guide))


def linked(page: Path) -> Iterator[Path]:
    """What a page links to: files, and all that is in folders."""
    for target, _ in LINK.findall(FENCED.sub("", page.read_text())):
        path = (page.parent / target).resolve()
        yield from path.iterdir() if path.is_dir() else [path]


def test_every_page_is_reached_from_the_readme() -> None:
    reached, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page.suffix == ".md" and page not in reached:
            reached.add(page)
            todo += linked(page)
    assert set(PAGES) <= reached


def parse(words: list[str]) -> None:
    """Raises UsageError where there is no such command, or it does not take these words."""
    context, called, command = click.Context(main), None, main
    _, words, _ = main.make_parser(context).parse_args(words)  # -q and -v may stand before the command
    while isinstance(command, click.Group) and words:
        called, command, words = command.resolve_command(context, words)
    if not isinstance(command, click.Group):
        command.make_context(called, words, parent=context)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_of_a_page_takes_what_is_given_there(page: Path) -> None:
    text = page.read_text()
    for command in COMMAND.findall(text):
        parse(shlex.split(REMARK.sub("", re.sub(r"\\\n\s*", "", command))))
    for mention in MENTIONED.findall(text):
        with suppress(click.MissingParameter, click.BadOptionUsage):  # only the command, or the option, is spoken of
            parse(shlex.split(REMARK.sub("", " ".join(mention.split()))))
