"""A file is there whole or not at all."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.training.failing_disk import FailingDisk
from wse_sim.errors import FileError, SpecError
from wse_sim.files import make_folder, remove_torn, write_atomically, write_json


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


def test_a_file_is_on_the_disk_before_its_name_and_its_name_before_anything_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk keeps the order in which it was told to wait, and no other."""
    disk = FailingDisk(tmp_path, monkeypatch)
    make_folder(tmp_path / "a" / "b")
    write_atomically(tmp_path / "a" / "b" / "state", [b"x" * 20_000, b"y"])
    part = f".state.{os.getpid()}.part"
    made = [("mkdir", "b"), ("mkdir", "a"), ("mkdir", "b"), ("fsync", "a"), ("fsync", tmp_path.name)]
    assert disk.asked[:5] == made
    assert [ask for ask in disk.asked[5:] if ask[0] != "write"] == [
        ("open", part),
        ("fsync", part),
        ("rename", "state"),
        ("fsync", "b"),
    ]
    assert disk.asked[6][0] == disk.asked[7][0] == "write"


def test_whatever_breaks_a_write_off_leaves_no_part_of_it(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "state", pieces())
    assert not list(tmp_path.iterdir())


def test_what_processes_that_are_gone_left_is_removed_and_what_others_write_is_not(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for number in (gone.pid, os.getpid(), os.getppid(), 2**70):
        (tmp_path / f".state.{number}.part").touch()
    (tmp_path / ".mine.part").touch()
    remove_torn(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f".state.{os.getppid()}.part", ".mine.part"}


def test_a_pipe_and_a_device_are_written_into(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(FileError, match=r"pipe: cannot be written: No such device or address"):  # nobody reads
        write_atomically(pipe, b"something")
    with open(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), "rb") as reader:
        write_atomically(pipe, [b"some", b"thing"])
        assert reader.read() == b"something"
    assert pipe.is_fifo()
    with pytest.raises(FileError, match=r"/dev/full: cannot be written: No space left on device"):
        write_atomically(Path("/dev/full"), b"something")
    assert Path("/dev/full").is_char_device()


@pytest.mark.parametrize("stream", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_a_stream_of_this_process_is_written_into(stream: str, tmp_path: Path) -> None:
    """Also where it leads to a file, and a file could take the place of the name as far as the system is concerned."""
    program = f"from wse_sim.files import *; write_atomically(Path({stream!r}), b'something')"
    with (tmp_path / "got").open("wb") as file:
        subprocess.run([sys.executable, "-c", program], stdout=file, check=True)
    assert (tmp_path / "got").read_bytes() == b"something"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"something"
