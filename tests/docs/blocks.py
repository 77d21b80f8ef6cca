"""The code blocks of a page, and what the comments before them say about them.

An HTML comment on the line before a block, which a reader of the page does not see:

- `<!-- file: NAME -->`: the block is the file NAME.
- `<!-- runs with: OLD => NEW; OLD => NEW -->`: run with less, in place of what is shown.
- `<!-- exits with: 3 -->`: what its last command ends with, if not 0.
- `<!-- not run: REASON -->`.

Of a block's language, `sh` and `python` run, `output` is what the block before it prints, and `text` is only shown.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
_OUTSIDE = ("README.md", "CONTRIBUTING.md", "examples/README.md")
PAGES = [*(ROOT / name for name in _OUTSIDE), *sorted((ROOT / "docs").rglob("*.md"))]
RUN = ("sh", "python")
SHOWN = ("output", "text")
FILES = ("toml", "csv", "json", "yaml", "python", "diff", "text")

_SAID = re.compile(r"<!-- (file|runs with|exits with|not run): (.*?) -->", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A code block.

    Parameters
    ----------
    line :
        Of the page, where it begins, from 1.
    said :
        What the comments before it say, by their first words.
    """

    page: Path
    line: int
    language: str
    text: str
    said: dict[str, str] = field(default_factory=dict)

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def as_run(self) -> str:
        """The text with its replacements, each of which is to be found."""
        text = self.text
        for replacement in filter(None, self.said.get("runs with", "").split("; ")):
            old, _, new = replacement.partition(" => ")
            assert old in text, f"{self.where}: {old!r} is not in the block that is to run with {new!r}"
            text = text.replace(old, new)
        return text


def blocks_of(page: Path) -> Iterator[Block]:
    """The blocks of a page in order; one that is indented, not fenced, has no language."""
    said: dict[str, str] = {}
    for token in MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8")):
        if token.type == "html_block":
            said |= dict(_SAID.findall(token.content))
        elif token.type in ("fence", "code_block"):
            line = token.map[0] + 1 if token.map else 0
            yield Block(page=page, line=line, language=token.info.strip(), text=token.content, said=said)
            said = {}
        elif token.type in ("inline", "heading_open"):
            said = {}
