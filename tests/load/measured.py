"""What a command takes, and how that grows with its size."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.release_check import ROOT

LAUNCHER = Path(__file__).with_name("launcher.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """One process: time on the clock and of processors, and the most memory that it held."""

    wall_s: float
    cpu_s: float
    peak_bytes: int

    def __str__(self) -> str:
        return f"{self.wall_s:.1f} s ({self.cpu_s:.1f} s of CPU), {self.peak_bytes / 2**20:,.0f} MiB"


def took(folder: Path, *words: str | Path) -> Took:
    """What `wse-sim WORDS` takes in a folder; it must end well."""
    command = [sys.executable, "-I", str(LAUNCHER), sys.executable, "-m", "wse_sim", *map(str, words)]
    # -I keeps the environment from the launcher alone: what it starts gets all of it.
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["code"] == 0, found["said"]
    return Took(wall_s=found["wall_s"], cpu_s=found["cpu_s"], peak_bytes=found["peak_bytes"])


def exponent(sizes: tuple[float, float], amounts: tuple[float, float]) -> float:
    """k of n^k between two sizes."""
    return math.log(amounts[1] / amounts[0]) / math.log(sizes[1] / sizes[0])


def figures(what: str, found: Mapping[int, Took]) -> dict[str, str | int | float]:
    """A line for each size, and how time and memory grow from the second size to the third."""
    *_, second, third = found
    sizes, pair = (float(second), float(third)), (found[second], found[third])
    time_grows = exponent(sizes, (pair[0].cpu_s, pair[1].cpu_s))
    memory_grows = exponent(sizes, (float(pair[0].peak_bytes), float(pair[1].peak_bytes)))
    lines: dict[str, str | int | float] = {f"{size:,} {what}": str(of) for size, of in found.items()}
    return lines | {"grows": f"time as n^{time_grows:.2f}, memory as n^{memory_grows:.2f}"}


def grows_as_n_log_n(found: Mapping[int, Took]) -> bool:
    """Whether from the second size to the third neither time nor memory grows faster than n log n."""
    *_, second, third = found
    most = third * math.log(third) / (second * math.log(second))
    pair = (found[second], found[third])
    return pair[1].cpu_s <= most * pair[0].cpu_s and pair[1].peak_bytes <= most * pair[0].peak_bytes
