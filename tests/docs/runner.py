"""Runs the blocks of one page in order, in one folder, as a reader would who follows it."""

import glob
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from tests.docs.blocks import ROOT, Block
from wse_sim.cli.app import main

_OF_A_SHELL = re.compile(r"[|&;<>$`~]|^#")  # what only a shell can do
_DATE = re.compile(r"\b\d{4}-\d\d-\d\d\b")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")
_SAME = 0.01  # relative: other processors and versions of torch round otherwise


class Reader:
    """Follows a page.

    Parameters
    ----------
    folder :
        Where all that the page writes goes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.printed = ""
        self._names: dict[str, Any] = {"__name__": "__main__"}

    def follow(self, block: Block) -> None:
        """Run a block, write it to its file, or compare it with what was printed."""
        if "not run" in block.said:
            return
        if "file" in block.said:
            path = self.folder / block.said["file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.as_run, encoding="utf-8")
        elif block.language == "python":
            self._python(block)
        elif block.language == "sh":
            *others, last = _lines(block.as_run)
            ends_with = int(block.said.get("exits with", "0"))
            self.printed = "".join(self._line(block, line, 0) for line in others) + self._line(block, last, ends_with)
        elif block.language == "output":
            assert_prints(self.printed, block.text, block.where)

    def _python(self, block: Block) -> None:
        printed = io.StringIO()
        with redirect_stdout(printed):
            exec(compile(block.as_run, block.where, "exec"), self._names)  # noqa: S102 - it is our own page
        self.printed = printed.getvalue()

    def _line(self, block: Block, line: str, wanted: int) -> str:
        words = shlex.split(line, comments=True)
        if words[0] == "wse-sim" and not _OF_A_SHELL.search(line):
            result = CliRunner().invoke(main, list(_globbed(words[1:])))
            code, told = result.exit_code, result.output
        else:
            done = subprocess.run(["bash", "-c", line], cwd=self.folder, capture_output=True, text=True, check=False)
            code, told = done.returncode, done.stdout + done.stderr
        assert code == wanted, f"{block.where}: `{line}` ends with {code}, not {wanted}:\n{told[-3000:]}"
        return told


def _lines(text: str) -> Iterator[str]:
    """The commands of a block: whole lines, those that a backslash or a here-document goes on with together."""
    lines = iter(text.splitlines())
    for line in lines:
        while line.endswith("\\"):
            line = line[:-1] + next(lines).strip()
        if marker := re.search(r"<<\s*'?(\w+)'?", line):
            for more in lines:
                line += f"\n{more}"
                if more == marker[1]:
                    break
        if line.strip() and not line.startswith("#"):
            yield line


def _globbed(words: list[str]) -> Iterator[str]:
    """As a shell would; a pattern that nothing matches stays."""
    for word in words:
        yield from sorted(glob.glob(word)) or [word] if "*" in word or "?" in word else [word]


def assert_prints(printed: str, shown: str, where: str) -> None:
    """Every line that a page shows is printed, in this order; a line that ends with `…` goes on."""
    rest = printed.splitlines()
    for line in filter(str.strip, shown.splitlines()):
        while rest and not _is_the_same(rest[0], line):
            rest.pop(0)
        assert rest or line.strip() == "…", f"{where} shows {line!r}, and the block before it printed\n{printed}"
        if rest:
            rest.pop(0)


def _is_the_same(printed: str, shown: str) -> bool:
    """The same words in the same order, and nearly the same numbers."""
    is_cut = shown.rstrip().endswith("…")
    words, numbers = _apart(shown.rstrip().removesuffix("…"))
    printed_words, printed_numbers = _apart(printed)
    if is_cut:
        printed_words, printed_numbers = printed_words[: len(words)], printed_numbers[: len(numbers)]
    return (
        printed_words == words
        and len(numbers) == len(printed_numbers)
        and all(abs(one - other) <= _SAME * abs(other) for one, other in zip(printed_numbers, numbers, strict=True))
    )


def _apart(line: str) -> tuple[list[str], list[float]]:
    line = _DATE.sub("date", line)  # mostly of the day on which the page was written
    numbers = [float(number.replace(",", "")) for number in _NUMBER.findall(line)]
    return _NUMBER.sub("0", line).replace("═", "─").split(), numbers


def programs(folder: Path) -> Path:
    """A folder for the path that holds `wse-sim`, `python` and `torchrun` of this interpreter and this checkout."""
    folder.mkdir()
    for name, module in (("wse-sim", "-m wse_sim"), ("python", ""), ("torchrun", "-m torch.distributed.run")):
        path = folder / name
        path.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} {module} "$@"\n', encoding="utf-8")
        path.chmod(0o755)
    return folder


def search_path(folder: Path) -> str:
    """The path with `folder` first."""
    return f"{folder}{os.pathsep}{os.environ['PATH']}"
