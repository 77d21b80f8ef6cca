"""A file is there whole or not at all."""

from pathlib import Path

import pytest

from wse_sim.errors import SpecError
from wse_sim.files import make_folder, write_atomically, write_json


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


def test_json_that_has_no_form_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_json(path, {"µ": [1.0, None]})
    assert path.read_text(encoding="utf-8") == '{\n  "µ": [\n    1.0,\n    null\n  ]\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"µ": float("nan")})
    assert '"µ"' in path.read_text(encoding="utf-8")


def test_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(SpecError, match="the folder cannot be made: Not a directory"):
        make_folder(tmp_path / "file" / "deeper")
