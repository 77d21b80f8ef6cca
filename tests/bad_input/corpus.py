"""What fuzzing found worth keeping: in `corpus.jsonl`, a line for each input, with the reader that it was made for.

An input is bytes, which stand there as text of the code points 0 to 255.
"""

import json
from collections.abc import Iterable
from pathlib import Path

FILE = Path(__file__).with_name("corpus.jsonl")
_BYTES = "latin-1"


def kept(reader: str) -> list[bytes]:
    """The inputs of one reader."""
    return [content for name, content in _lines() if name == reader]


def readers() -> set[str]:
    """That have inputs."""
    return {name for name, _ in _lines()}


def write(reader: str, inputs: Iterable[bytes]) -> None:
    """Keep these inputs of a reader in place of those before."""
    others = {line for line in _lines() if line[0] != reader}
    lines = sorted(others | {(reader, content) for content in inputs})
    text = "".join(json.dumps([name, content.decode(_BYTES)]) + "\n" for name, content in lines)
    FILE.write_text(text, encoding="ascii")


def _lines() -> list[tuple[str, bytes]]:
    lines = FILE.read_text(encoding="ascii").splitlines() if FILE.exists() else []
    return [(name, text.encode(_BYTES)) for name, text in map(json.loads, lines)]
