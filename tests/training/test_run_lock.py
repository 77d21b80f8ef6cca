"""One process at a time works in a run's folder; who only looks is welcome."""

import errno
import fcntl
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import msgspec
import pytest

from tests.cli.documents import call
from tests.training.test_resume import CONFIG
from training.data import Corpus
from training.execution import Execution
from training.run_record import Row
from training.trainer import train
from wse_sim.errors import FileError, SpecError
from wse_sim.run_lock import LOCK_FILE, holder, require_idle, run_lock

HOLD = "import sys\nfrom pathlib import Path\nfrom wse_sim.run_lock import run_lock\n"
HOLD += "with run_lock(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()\n"


def holding(folder: Path) -> "subprocess.Popen[str]":
    """A process that holds a folder until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_refused_and_told_who_is_there_until_that_one_ends(tmp_path: Path) -> None:
    with holding(tmp_path) as process:
        refused = pytest.raises(FileError, match=rf"^{tmp_path}: process {process.pid} on .* is at work in this folder")
        with refused, run_lock(tmp_path):
            pytest.fail("two hold it")
        with pytest.raises(FileError, match=f"process {process.pid} on"):
            require_idle(tmp_path)
        assert process.stdin is not None
        process.stdin.close()
    require_idle(tmp_path)
    assert not list(tmp_path.iterdir())
    with run_lock(tmp_path) as is_held:
        assert is_held


def test_the_lock_of_a_process_that_was_killed_binds_nobody(tmp_path: Path) -> None:
    with holding(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
    assert (tmp_path / LOCK_FILE).read_text().startswith(f"process {process.pid} on ")
    assert holder(tmp_path) is None
    with run_lock(tmp_path):
        assert holder(tmp_path) == (tmp_path / LOCK_FILE).read_text().strip()
        assert f"process {os.getpid()} on" in str(holder(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_file_that_was_removed_by_its_holder_in_the_meantime_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or one process would hold what is gone, and another one what is there."""
    flock, removed = fcntl.flock, []

    def late(file: IO[bytes], how: int) -> None:
        if not removed:
            (tmp_path / LOCK_FILE).unlink()
            removed.append(file)
        flock(file, how)

    monkeypatch.setattr("fcntl.flock", late)
    with run_lock(tmp_path):
        assert removed
        assert f"process {os.getpid()} on" in str(holder(tmp_path))


def test_a_link_in_the_place_of_the_lock_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("dear to me")
    (tmp_path / LOCK_FILE).symlink_to("mine")
    with (
        pytest.raises(FileError, match=r"\.lock: cannot be written: Too many levels of symbolic links"),
        run_lock(tmp_path),
    ):
        pytest.fail("it is held")
    assert (tmp_path / "mine").read_text() == "dear to me"


def test_a_pipe_in_the_place_of_the_lock_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / LOCK_FILE)
    for work in (lambda: require_idle(tmp_path), run_lock(tmp_path).__enter__):
        with pytest.raises(SpecError, match=r"\.lock: cannot be .*: it is a pipe, and a file would be right"):
            work()


def test_a_file_system_without_locks_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(file: IO[bytes], how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", none)
    with run_lock(tmp_path) as is_held:
        assert not is_held
    require_idle(tmp_path)


def test_a_second_run_in_the_folder_of_one_that_trains_is_refused_and_harms_nothing(
    corpus: Corpus, tmp_path: Path
) -> None:
    """Nor in that of its weights, which the two would write over each other's."""
    store = tmp_path / "store"
    config = msgspec.structs.replace(CONFIG, execution=Execution(executor="streaming", store=str(store)))
    refused = []

    def train_too(row: Row) -> None:
        if row.step == 6:
            for run, is_resumed, held in (("run", False, "run"), ("run", True, "run"), ("other", False, "store")):
                words = f"^{tmp_path / held}: process {os.getpid()} on .* is at work in this folder"
                with pytest.raises(FileError, match=words):
                    train(config, tmp_path / run, corpus=corpus, resume=is_resumed)
                refused.append(held)

    disturbed = train(config, tmp_path / "run", corpus=corpus, on_step=train_too)
    alone = train(config, tmp_path / "alone", corpus=corpus)
    assert refused == ["run", "run", "store"]
    assert disturbed.checkpoint.read_bytes() == alone.checkpoint.read_bytes()
    assert not list(tmp_path.rglob(LOCK_FILE))


def test_a_store_may_be_in_the_folder_of_its_run(corpus: Corpus, tmp_path: Path) -> None:
    config = msgspec.structs.replace(CONFIG, execution=Execution(executor="streaming", store=str(tmp_path)), n_steps=1)
    assert train(config, tmp_path, corpus=corpus).checkpoint.is_file()


def test_a_folder_is_let_go_of_however_a_run_ends(corpus: Corpus, tmp_path: Path) -> None:
    def fail(row: Row) -> None:
        raise RuntimeError("a mistake of ours")

    with pytest.raises(RuntimeError):
        train(CONFIG, tmp_path, corpus=corpus, on_step=fail)
    require_idle(tmp_path)
    train(CONFIG, tmp_path, corpus=corpus, resume=True)
    require_idle(tmp_path)


def test_what_reads_a_run_does_so_while_it_trains(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It exports what is there; where something is missing, it says that the run goes on."""
    run, said = tmp_path / "run", dict[str, Any]()
    words = (
        "--model",
        model,
        "--data",
        "markov",
        "--mode",
        "dense",
        "--steps",
        "20",
        "--batch-size",
        "2",
        "--tokens",
        "1e6",
    )

    def look(row: Row) -> None:
        if row.step == 18:
            said["export"] = call("export", run, "--out", tmp_path / "exported")
            said["report"] = call("report", run)
            said["train"] = call("train", *words, "--out", run)
            said["resume"] = call("train", "--resume", run)

    _train_with(look, monkeypatch)
    done = call("train", *words, "--out", run)
    assert done.exit_code == 0, done.stderr
    assert said["export"].exit_code == 0, said["export"].stderr
    for name in ("report", "train", "resume"):
        assert said[name].exit_code == 2
        assert re.match(rf"error: .*process {os.getpid()} on", said[name].stderr), name


def _train_with(look: Callable[[Row], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the trainer of the commands call `look` after each step."""

    def looked_at(*given: Any, **named: Any) -> Any:
        on_step = named.pop("on_step")

        def both(row: Row) -> None:
            on_step(row)
            look(row)

        return train(*given, **named, on_step=both)

    monkeypatch.setattr("training.cosim.train", looked_at)
