"""Streams that are closed or full when the program is started, and the signal that ends it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_terminal import environment
from training.run_record import read_rows

COMMANDS = {
    "table": "simulate --model 111m",
    "json": "simulate --model 111m --json",
    "help": "--help",
    "help of a command": "plan --help",
    "version": "--version",
}
WRONG = "simulate --model 112m"


def shell(line: str, **said: str) -> subprocess.CompletedProcess[str]:
    """What `sh` says of a line in which $W is the program."""
    program = {"W": f"{sys.executable} -m wse_sim"}
    return subprocess.run(
        ["sh", "-c", line], env=environment() | program | said, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_results_that_find_no_room_are_one_error(command: str, unbuffered: str) -> None:
    done = shell(f"$W {command} >/dev/full", PYTHONUNBUFFERED=unbuffered)
    assert (done.returncode, done.stderr) == (2, "error: stdout: No space left on device\n")


@pytest.mark.parametrize("streams", ["2>/dev/full", ">/dev/full 2>&1", ">&-", "2>&-", ">&- 2>&- <&-"])
def test_an_error_that_nobody_can_read_is_still_an_error(streams: str) -> None:
    done = shell(f"$W {WRONG} {streams}")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == (streams == ">&-")


@pytest.mark.parametrize("streams", [">&-", "2>&-", ">&- 2>&- <&-"])
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_what_is_written_to_a_closed_stream_goes_nowhere(command: str, streams: str, tmp_path: Path) -> None:
    """Least of all into the files of the command, one of which would have the number of the closed stream."""
    trace = tmp_path / "trace.json"
    is_simulated = command.startswith("simulate")
    done = shell(f"$W {command} {f'--trace {trace}' if is_simulated else ''} {streams}")
    assert done.returncode == 0
    assert (done.stdout == "") == (">&-" in streams.replace("2>&-", ""))
    assert "Traceback" not in done.stderr
    if is_simulated:
        assert trace.read_text(encoding="utf-8").startswith('{"displayTimeUnit"')


@pytest.mark.parametrize("before", ["trap '' INT", ":"], ids=["in the background", "in the foreground"])
def test_termination_saves_a_run_as_ctrl_c_does(before: str, model: str, tmp_path: Path) -> None:
    """A shell has its background jobs ignore Ctrl-C, not the signal by which batch systems end them."""
    run = tmp_path / "run"
    words = f"train --model {model} --mode dense --steps 30000 --batch-size 8 --seq-len 16 --data markov --out {run}"
    process = subprocess.Popen(
        ["sh", "-c", f"{before}; exec {sys.executable} -m wse_sim {words}"],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process, process.stderr or pytest.fail("it was started with a pipe") as stderr:
        while not (line := stderr.readline()).startswith("step "):
            assert line
        process.terminate()
        *_, told = stderr
    assert process.returncode == 130
    go_on = f"to go on: wse-sim train --resume {run}\n"
    assert re.fullmatch(rf"stopped after step \d+; a checkpoint is in .*; {go_on}", told)
    assert 0 < read_rows(run / "run.jsonl")[-1].step < 30_000
