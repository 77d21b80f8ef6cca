"""A file is there whole or not at all."""

from pathlib import Path

import pytest

from wse_sim.errors import SpecError
from wse_sim.files import write_atomically


def test_write_that_breaks_off_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state"
    write_atomically(path, b"old")

    def power_cut(descriptor: int) -> None:
        raise OSError("power cut")

    monkeypatch.setattr("os.fsync", power_cut)
    with pytest.raises(SpecError, match="power cut"):
        write_atomically(path, b"new and longer")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_path_below_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(SpecError, match="cannot be written"):
        write_atomically(tmp_path / "file" / "deeper", b"x")
