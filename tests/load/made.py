"""Large inputs, made up."""

import json
import math
from pathlib import Path

from tests.report.run_directory import simulation, write_comparison, write_run
from wse_sim.spec.load import data_path

# 198 layers of width 20,480: 0.998e12 parameters, which a wafer's memory holds a layer of.
TRILLION = """
[shape]
name = "1t"
n_layers = 198
d_model = 20480
n_heads = 160
d_ff = 81920
vocab_size = 50257
seq_len = 2048
"""
LARGEST_MEMORYX = """
[memoryx.capacity_bytes]
value = 1.2e15
kind = "assumed"
source = "so large that the model fits"
"""


def write_trillion(folder: Path) -> None:
    """`1t.toml`, and `large.toml`, CS-3 with a MemoryX of 1.2 PB: the usual one holds 1.0e12 parameters."""
    (folder / "1t.toml").write_text(TRILLION, encoding="utf-8")
    system = data_path("hardware", "cs3.toml").read_text(encoding="utf-8")
    (folder / "large.toml").write_text(system + LARGEST_MEMORYX, encoding="utf-8")


def write_long_run(folder: Path, n_rows: int) -> None:
    """A run of which every step has a row with a validation loss."""
    write_run(folder, simulation())
    write_rows(folder, n_rows)


def write_rows(run: Path, n_rows: int) -> None:
    """So many rows in the place of those of a run."""
    path = run / "run.jsonl"
    last = json.loads(path.read_text(encoding="utf-8").splitlines()[-1])
    whole = ("step", "tokens")
    with path.open("w", encoding="utf-8") as file:
        for number in range(1, n_rows + 1):
            share = number / n_rows
            row = {key: value * share for key, value in last.items()}
            row |= {key: round(row[key] * n_rows) for key in whole} | {"density": last["density"]}
            row |= {"loss": 2 + 5 * (1 - share) ** 3 + 0.05 * math.sin(number)}
            file.write(json.dumps(row) + "\n")


def write_runs(folder: Path, n_runs: int, n_rows: int = 2000) -> None:
    """A comparison of so many runs."""
    write_comparison(folder, tuple(1 - number / (2 * n_runs) for number in range(n_runs)))
    for run in folder.iterdir():
        if run.is_dir():
            write_rows(run, n_rows)


def write_tokens(path: Path, n_bytes: int) -> None:
    """A file of 16-bit tokens that takes no room on the disk: all are 0 but the last ones."""
    with path.open("wb") as file:
        file.truncate(n_bytes)
        file.seek(-2, 2)
        file.write(b"\x01\x00")
