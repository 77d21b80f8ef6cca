"""What the program writes on a terminal, into a pipe, and where the environment asks for less."""

import fcntl
import json
import logging
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

import click
import pytest
from rich.console import Console
from rich.table import Table

from tests.cli.documents import call, screen
from wse_sim.cli.app import COMMANDS, main
from wse_sim.cli.narrow import fitted
from wse_sim.spec.load import data_path

SIMULATE = ("simulate", "--model", "111m", "--density", "0.25")
SWEEP = ("sweep", "--model", "111m", "--system", "cs3", "--num-csx", "1,2", "--batch-size", "240")
ESCAPE = "\x1b"
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"  # the cursor
COLOURS = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE")


def environment(**said: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in (*COLOURS, "COLUMNS", "LINES")}
    return {**kept, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", **said}


class Terminal:
    """A program on a pseudo-terminal."""

    def __init__(self, *words: str | Path, columns: int = 80, **said: str) -> None:
        self.screen, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        command = [sys.executable, "-m", "wse_sim", *map(str, words)]
        self.process = subprocess.Popen(
            command, stdin=inner, stdout=inner, stderr=inner, env=environment(**said), start_new_session=True
        )
        os.close(inner)
        self.written = b""

    def until(self, words: bytes) -> None:
        """Read until the program has written them, or ends."""
        while words not in self.written and self._read():
            pass

    def text(self) -> str:
        """All that it writes, until it ends."""
        while self._read():
            pass
        os.close(self.screen)
        self.process.wait(60)
        return self.written.decode().replace("\r\n", "\n")

    def _read(self) -> bool:
        try:
            found = os.read(self.screen, 65536)
        except OSError:  # so Linux says that nobody writes any more
            return False
        self.written += found
        return bool(found)


def piped(*words: str, **said: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-m", "wse_sim", *words], capture_output=True, check=True, env=environment(**said)
    )


def test_a_terminal_has_styles_and_a_bar_and_its_cursor_back() -> None:
    text = Terminal(*SWEEP, columns=100).text()
    assert f"{ESCAPE}[1m" in text
    assert "2/2 points  " in text
    assert "  took " in text
    assert text.count(HIDE) == text.count(SHOW) > 0
    error = Terminal("simulate", "--model", "112m").text()
    assert f"{ESCAPE}[31m" in error
    assert "unknown model '112m': did you mean '111m'?" in error


@pytest.mark.parametrize("said", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"CLICOLOR": "0"}])
def test_a_terminal_that_is_to_be_plain_gets_no_escapes(said: dict[str, str]) -> None:
    text = Terminal(*SWEEP, columns=100, **said).text()
    assert "2/2 points  " in text
    assert "simulated: the best 2 of 2" in text
    assert ESCAPE not in text


def test_a_pipe_is_plain_unless_colours_are_forced() -> None:
    done = piped(*SIMULATE)
    assert ESCAPE.encode() not in done.stdout + done.stderr
    assert ESCAPE.encode() in piped(*SIMULATE, FORCE_COLOR="1").stdout
    assert ESCAPE.encode() not in piped(*SIMULATE, FORCE_COLOR="1", NO_COLOR="1").stdout


def test_json_is_one_object_in_utf_8_whatever_the_terminal_is() -> None:
    plain = json.loads(piped(*SIMULATE, "--json").stdout)
    for said in ({"FORCE_COLOR": "1"}, {"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}):
        assert json.loads(piped(*SIMULATE, "--json", **said).stdout).keys() == plain.keys()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_letters_that_a_character_set_lacks_are_written_in_others(encoding: str) -> None:
    table = piped(*SIMULATE, PYTHONIOENCODING=encoding).stdout.decode("ascii")
    assert "111m at density 0.25 on 1 x CS-2: simulated" in table
    assert "####" in table
    plot = piped("schedules", "linear", PYTHONIOENCODING=encoding).stdout.decode("ascii")
    assert "tau (steps)" in plot
    assert "?" not in table + plot.replace("(?c)^2/?c^2", "")


def test_a_number_that_begins_a_row_of_lines_says_what_it_is() -> None:
    text = Terminal("-q", *SWEEP, "--density", "1,0.5", columns=30, NO_COLOR="1").text()
    heads = [line.strip() for line in text.splitlines() if line.startswith("num csx")]
    assert heads == [f"num csx  {n}" for n in (2, 2, 1, 1)]


def test_no_header_is_broken_and_no_number_leaves_its_unit() -> None:
    """Nor where another header holds the broken word whole."""
    table = Table("density", "loss, nats/token", "run time", "full loss, nats/token", box=None)
    table.add_row("0.25", "3.204", "22.9 min", "2.600")
    narrow = Console(width=39)
    with narrow.capture() as shown:
        narrow.print(*fitted(table, narrow))
    told = " ".join(shown.get().split())
    assert told == "loss, full loss, density nats/token run time nats/token 0.25 3.204 22.9 min 2.600"


def test_a_long_name_goes_on_in_the_next_line() -> None:
    """No part of it is cut."""
    names = Table("what", "of", "names", box=None)
    names.add_row("constants", "two", "a, " + "long_name_" * 3)
    narrow = Console(width=40)
    with narrow.capture() as shown:
        narrow.print(*fitted(names, narrow))
    assert "a,long_name_long_name_long_name_" in "".join(shown.get().split()).replace("constantstwo", "")


def test_forty_columns_hold_whole_words() -> None:
    text = Terminal("list", "gpus", columns=40, NO_COLOR="1").text()
    assert max(map(len, text.splitlines())) <= 40
    assert "  memory bytes  8.59e+10" in text
    text = Terminal(*SIMULATE, columns=40, NO_COLOR="1").text()
    assert max(map(len, text.splitlines())) <= 40
    assert "\ntokens/s  " in text


def test_a_reader_that_has_enough_is_no_error_of_ours() -> None:
    listing = subprocess.Popen(
        [sys.executable, "-m", "wse_sim", "explain"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )
    assert listing.stdout is not None
    assert listing.stderr is not None
    listing.stdout.close()
    assert listing.stderr.read() == b""
    listing.stderr.close()
    assert listing.wait(60) == 141  # as of any program of a shell: 128 and the number of SIGPIPE


def test_ctrl_c_gives_the_cursor_back_and_says_how_to_go_on(tmp_path: Path) -> None:
    sizes = ",".join(str(n) for n in range(240, 240 * 400, 240))
    out = tmp_path / "sweep.csv"
    terminal = Terminal(*SWEEP[:-1], sizes, "--processes", "1", "--out", out, columns=120)
    terminal.until(b"/s  left ")
    os.killpg(terminal.process.pid, signal.SIGINT)
    text = terminal.text()
    assert terminal.process.returncode == 130
    assert "stopped and saved; to go on: wse-sim sweep --model 111m" in text
    assert text.rindex(SHOW) > text.rindex(HIDE)
    assert "Traceback" not in text


@pytest.mark.parametrize("before", [True, False])
def test_quiet_leaves_results_and_errors(before: bool, tmp_path: Path) -> None:
    words = (*SIMULATE, "--trace", str(tmp_path / "trace.json"))
    result = call(*(("-q", *words) if before else (*words, "--quiet")))
    assert (result.exit_code, result.stderr) == (0, "")
    assert "tokens/s" in result.stdout
    assert call("-q", *SWEEP).stderr == ""
    assert call("-q", "simulate", "--model", "112m").stderr.startswith("error: unknown model")


@pytest.mark.parametrize("before", [True, False])
def test_verbose_says_what_was_read_and_chosen(before: bool) -> None:
    result = call(*(("-v", *SIMULATE) if before else (*SIMULATE, "-v")), "--json")
    assert json.loads(result.stdout)["model"] == "111m"
    lines = result.stderr.splitlines()
    assert any(line.startswith("read ") and line.endswith("economics.toml") for line in lines)
    assert any(line.startswith("micro-batch ") for line in lines)
    assert any(line.startswith("engine max-plus: ") for line in lines)
    assert lines[-1].startswith("took ")
    assert len(set(lines)) == len(lines)
    assert logging.getLogger("wse_sim").handlers == []
    assert call(*SIMULATE, "--json").stderr == ""


def test_quiet_and_verbose_exclude_each_other() -> None:
    for words in (("-q", *SIMULATE, "-v"), (*SIMULATE, "-q", "-v")):
        result = call(*words)
        assert result.exit_code == 2
        assert result.stderr.startswith("error: --quiet and --verbose are both given: use one of them")


def test_every_command_hears_quiet_and_verbose() -> None:
    def commands(group: click.Group, context: click.Context) -> list[click.Command]:
        found = [group.get_command(context, name) for name in group.list_commands(context)]
        inner = [command for of in found if isinstance(of, click.Group) for command in commands(of, context)]
        return [command for command in found if command is not None] + inner

    found = commands(main, click.Context(main))
    assert len(found) > len(COMMANDS)
    for command in found:
        assert [param.name for param in command.params].count("quiet") == 1
        assert [param.name for param in command.params].count("verbose") == 1


def test_long_work_tells_a_pipe_its_rate_and_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wse_sim.cli.progress.LEAST_S", 0.0)
    lines = call(*SWEEP[:-1], "240,480,720,960").stderr.splitlines()
    assert lines[-1].startswith("8/8 points  ")


def test_brackets_and_colons_in_names_are_shown_as_they_are(tmp_path: Path) -> None:
    system = tmp_path / "my[b]:x:.toml"
    system.write_text((data_path("hardware", "cs3.toml")).read_text(encoding="utf-8"), encoding="utf-8")
    shown = screen("compare", "--model", "111m", "--system", system, "--num-csx", "1", "--batch-size", "120")
    title, _, header, *_ = shown.splitlines()
    assert "1 × my[b]:x:" in title
    assert "1 × my[b]:x:" in header
