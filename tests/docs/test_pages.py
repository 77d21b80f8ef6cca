"""Pages link to what is there and are linked to, and everything in them is run, compared or only shown on purpose."""

import ast
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click
import pytest

from tests.docs.blocks import FILES, PAGES, ROOT, RUN, SHOWN, blocks_of
from wse_sim.cli.app import main

MOST_NOT_RUN = 12

FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
MENTIONED = re.compile(r"`wse-sim\s([^`]*)`")
REMARK = re.compile(r"\s>.*")  # behind a command: the file that it fills
COMMANDS = ("wse-sim ", "python ", "pip ", "torchrun ", "ray ")

BLOCKS = {page: list(blocks_of(page)) for page in PAGES}


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


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_that_is_mentioned_takes_what_is_given_there(page: Path) -> None:
    for mention in MENTIONED.findall(page.read_text()):
        with suppress(click.MissingParameter, click.BadOptionUsage):  # only the command, or the option, is spoken of
            parse(shlex.split(REMARK.sub("", " ".join(mention.split()))))


def parse(words: list[str]) -> None:
    """Raises UsageError where there is no such command, or it does not take these words."""
    context, called, command = click.Context(main), None, main
    _, words, _ = main.make_parser(context).parse_args(words)  # -q and -v may stand before the command
    while isinstance(command, click.Group) and words:
        called, command, words = command.resolve_command(context, words)
    if not isinstance(command, click.Group):
        with command.make_context(called, words, parent=context):
            pass  # closed again, so that -v of a page is not heard by the tests behind it


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_is_run_or_shown_or_a_file(page: Path) -> None:
    for block in BLOCKS[page]:
        is_run = block.language in RUN or block.language.startswith("{")
        is_file = block.language in FILES and "file" in block.said
        assert is_run or is_file or block.language in ("", *SHOWN), f"{block.where}: what is to be done with it?"
        if not is_run and not is_file:
            commands = [line for line in block.text.splitlines() if line.startswith(COMMANDS)]
            assert not commands, f"{block.where}: {commands[0]} is shown, and is in no block that runs"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_file_that_a_page_shows_is_used_by_it(page: Path) -> None:
    for place, block in enumerate(BLOCKS[page]):
        if "file" in block.said:
            later = "".join(other.text for other in BLOCKS[page][place + 1 :] if other.language in RUN)
            assert block.said["file"] in later, f"{block.where}: {block.said['file']} is read by nothing behind it"


def test_few_blocks_are_not_run_and_each_says_why_and_is_written_right() -> None:
    not_run = [block for blocks in BLOCKS.values() for block in blocks if "not run" in block.said]
    assert len(not_run) <= MOST_NOT_RUN, [block.where for block in not_run]
    for block in not_run:
        assert len(block.said["not run"].split()) >= 3, block.where
        for line in block.text.splitlines() if block.language == "sh" else ():
            words = shlex.split(line, comments=True)
            if words[:1] == ["wse-sim"]:
                parse(words[1:])


def test_every_law_of_the_page_of_invariants_is_held_by_a_test() -> None:
    page = ROOT / "docs" / "explanation" / "invariants.md"
    laws = [(test, page.parent / file) for line in page.read_text().splitlines() for test, file in _tests_named(line)]
    assert len(laws) > 40
    for test, file in laws:
        names = {node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)}
        assert test in names, f"{name(file.resolve())} has no {test}"


def _tests_named(line: str) -> Iterator[tuple[str, str]]:
    for text, file in re.findall(r"\[([^\]]*)\]\((\.\./\S+?\.py)\)", line):
        for test in re.findall(r"`(test_\w+)`", text):
            yield test, file
