"""No command goes to a network: each runs to its end where no socket can be connected, looked up or listened on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.calibration.made_up import wafer_file
from tests.release_check import ROOT

# Python reads this at the start of every process, so those that a command starts are held too.
WITHOUT_NETWORK = """
import os, socket

def refuse(*words, **named):
    with open(os.environ["ASKED_FOR"], "a") as file:
        file.write(f"{words[1:]}\\n")
    raise OSError("there is no network here")

class Alone(socket.socket):
    def _is_local(self):
        return self.family == socket.AF_UNIX
    def connect(self, address):
        return super().connect(address) if self._is_local() else refuse(self, "connect", address)
    def connect_ex(self, address):
        return super().connect_ex(address) if self._is_local() else refuse(self, "connect", address)
    def bind(self, address):
        return super().bind(address) if self._is_local() else refuse(self, "bind", address)
    def sendto(self, *words):
        return super().sendto(*words) if self._is_local() else refuse(self, "sendto", *words)

socket.socket = Alone
for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "create_connection"):
    setattr(socket, name, lambda *words, _name=name, **named: refuse(None, _name, *words))
"""
TEXT = "the wafer streams its weights and the weights stream their wafer\n" * 400


def commands(model: str, folder: Path) -> list[list[str]]:
    trained = ["--mode", "dense", "--steps", "3", "--batch-size", "8"]
    studied = ["--over", "width", "--values", "32,64", "--seeds", "1", "--steps", "2", "--data", "markov"]
    return [
        ["simulate", "--model", "111m", "--out", "simulated"],
        ["plan", "--model", "111m", "--deadline", "10d", "--num-csx", "1,2", "--tpp", "20", "--out", "plan"],
        ["compare", "--model", "111m", "--gpu", "h100", "--num-gpus", "8", "--out", "compared"],
        [
            "sweep",
            "--model",
            "111m",
            "--num-csx",
            "1,2",
            "--batch-size",
            "120,240",
            "--out",
            "t.csv",
            "--processes",
            "2",
        ],
        ["prepare", "text.txt", "--tokenizer", "bpe:280", "--out", "prepared"],
        ["train", "--model", model, "--data", "prepared", "--log", "tensorboard", "--out", "run", *trained],
        ["export", "run", "--out", "exported"],
        ["train", "--init-from", "exported", "--data", "prepared", "--out", "again", *trained],
        ["report", "run"],
        ["coord-check", *studied, "--out", "coordinates"],
        ["transfer", *studied, "--lr-grid", "2^-6..2^-5", "--extend", "0", "--workers", "1", "--out", "transferred"],
        ["reproduce", "scaling-law", "--out", "claims"],
        ["project", "--model", "1.3b", "--density", "0.25"],
        ["calibrate", "runs.csv", "--out", "mine.toml"],
        ["explain", "mfu"],
        ["validate"],
        ["schema", "simulate"],
    ]


def run_alone(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    (folder / "site").mkdir(exist_ok=True)
    (folder / "site" / "sitecustomize.py").write_text(WITHOUT_NETWORK, encoding="utf-8")
    paths = os.pathsep.join((str(folder / "site"), str(ROOT)))
    env = {**os.environ, "PYTHONPATH": paths, "ASKED_FOR": str(folder / "asked")}
    return subprocess.run([sys.executable, *words], cwd=folder, env=env, capture_output=True, text=True)


def test_the_harness_sees_a_process_that_goes_to_a_network(tmp_path: Path) -> None:
    asks = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', sys.argv[1]]))"
    for program in (
        "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9/')",
        "import socket; socket.socket().connect(('127.0.0.1', 9))",
    ):
        assert run_alone(tmp_path, "-c", asks, program).returncode
    assert len((tmp_path / "asked").read_text().splitlines()) >= 2


@pytest.mark.slow
def test_no_command_asks_for_a_network(tmp_path: Path, model: str) -> None:
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    wafer_file(tmp_path / "runs.csv")
    # One process for all, since each would load torch anew.
    program = (
        "from tests.undrawn import undrawn_pages; from wse_sim.cli.app import main\n"
        "with undrawn_pages():\n"
        "    for words in {!r}: main(words, standalone_mode=False)"
    )
    done = run_alone(tmp_path, "-c", program.format(commands(model, tmp_path)))
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "asked").exists(), (tmp_path / "asked").read_text()
    made_here = ("simulated", "plan", "compared", "t.csv", "prepared", "run", "exported", "again")
    for made in (*made_here, "coordinates", "transferred", "claims", "mine.toml"):
        assert (tmp_path / made).exists(), made
