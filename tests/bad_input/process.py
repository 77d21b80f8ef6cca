"""A command as a user starts it: a process of its own, of which is known what it took."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from tests.bad_input.privilege import give_up_for_good

_HANGS_S = 60.0
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What a process left.

    Parameters
    ----------
    cpu_s :
        That all its threads computed; other work on the machine makes it longer too, though less than the wall clock.
    rss_bytes :
        Its largest resident set.
    """

    exit_code: int
    stdout: str
    stderr: str
    cpu_s: float
    rss_bytes: int


def run_command(words: Sequence[str], folder: Path, cache: Path) -> Ended:
    """`wse-sim` in a folder, bound by permissions; one that waits for something is killed after a minute."""
    environment = os.environ | {"XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(_ROOT)}
    with TemporaryFile() as stdout, TemporaryFile() as stderr:
        began_s = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "wse_sim", *map(os.fsencode, words)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            preexec_fn=give_up_for_good,
        )
        while (done := os.wait4(process.pid, os.WNOHANG))[0] == 0:
            time.sleep(0.01)
            if time.monotonic() - began_s > _HANGS_S:
                process.kill()
        process.returncode = os.waitstatus_to_exitcode(done[1])
        stdout.seek(0)
        stderr.seek(0)
        return Ended(
            exit_code=process.returncode,
            stdout=stdout.read().decode("utf-8", "replace"),
            stderr=stderr.read().decode("utf-8", "replace"),
            cpu_s=done[2].ru_utime + done[2].ru_stime,
            rss_bytes=done[2].ru_maxrss * 1024,
        )
