"""What pages say runs: their blocks, in order, in a fresh folder for each page, and prints what is shown."""

from pathlib import Path

import pytest

from tests.conftest import TINY
from tests.docs.blocks import PAGES, ROOT, RUN, blocks_of
from tests.docs.runner import Reader, assert_prints, programs, search_path

BLOCKS = {page: list(blocks_of(page)) for page in PAGES}
THAT_RUN = [
    page for page, blocks in BLOCKS.items() if any(b.language in RUN and "not run" not in b.said for b in blocks)
]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    return search_path(programs(tmp_path_factory.mktemp("path") / "bin"))


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn", "runs_here")
@pytest.mark.parametrize("page", THAT_RUN, ids=name)
def test_what_a_page_says_runs(page: Path, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", path)
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "tiny.toml").write_text(TINY, encoding="utf-8")  # in place of models that train for long
    reader = Reader(tmp_path)
    for block in BLOCKS[page]:
        reader.follow(block)


def test_what_is_shown_is_compared_in_words_exactly_and_in_numbers_nearly() -> None:
    printed = "loss  2.500 nats\ntime  3 s\n"
    assert_prints(printed, "loss 2.51 nats", "here")
    assert_prints(printed, "time …", "here")
    for wrong in ("loss 2.6 nats", "loss 2.5 bits", "time 3 s\nloss 2.5 nats", "time 3"):
        with pytest.raises(AssertionError, match="here shows"):
            assert_prints(printed, wrong, "here")
