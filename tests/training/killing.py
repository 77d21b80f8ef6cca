"""A run that is killed (SIGKILL) at random points of its life and resumed, until it ends; beside one that was not.

    python -m tests.training.killing FOLDER dense|streaming N_KILLS N_STEPS SEED

prints as JSON where the kills landed and what was lost. Every attempt is `wse-sim train` in a process forked from this
one, which has imported everything and done nothing: starting Python anew would take longer than all the rest. In the
child, waiting for the disk takes longer than on a real one, so that kills land in the middle of writing as well.
"""

import json
import math
import mmap
import os
import random
import signal
import struct
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import training.checkpoint
import training.corpus
import training.cosim
import training.trainer
from training.checkpoint import load_latest
from training.dense import DenseExecutor
from training.streaming.executor import StreamingExecutor
from wse_sim.cli.app import main
from wse_sim.run_lock import LOCK_FILE

PLACES = (
    "starting",
    "reading data",
    "between steps",
    "in a step",
    "evaluating",
    "writing a checkpoint's tensors",
    "writing its description",
    "after the last step",
)
FSYNC_S = 0.004
_LEFT_ALONE, _BY_TIME, _JUST_AFTER_S = 0.1, 0.25, 0.004
_PLACES_AT_ENDS = 4  # which a run comes to, wherever it goes on
_POLL_S = 0.0002
_COUNT = struct.Struct("=BI")  # what a child shares: where it is, and how often it came to another place
_TIMES = ("host_s", "tokens_per_s", "warnings")  # of a summary, and what a resumed run has beside another one
_CONFIG = """
[shape]
name = "tiny"
n_layers = 2
d_model = 32
n_heads = 1
d_ff = 128
vocab_size = 256
seq_len = 32
[run]
batch_size = 4
seq_len = 32
n_steps = {n_steps}
sparsity = {{algorithm = "rigl", sparsity = 0.75, update = {{freq = 3}}}}
[training]
data = "markov"
checkpoint_interval = 2
eval_interval = 4
log_interval = 1
precision = "fp32"
"""


class Killing:
    """The attempts at one run after another, in a folder.

    Parameters
    ----------
    words :
        Of the command that starts a run, but for where.
    """

    def __init__(self, folder: Path, words: list[str]) -> None:
        self._folder, self._words = folder, words
        self._shared = mmap.mmap(-1, _COUNT.size)
        self.landed: Counter[str] = Counter()
        self.n_resumes = self.n_lost = self.n_torn = 0

    def whole(self, run: Path) -> tuple[float, int]:
        """Let a run end undisturbed: the seconds that it took, and how often it came to another place."""
        began_s = time.monotonic()
        code = os.waitstatus_to_exitcode(os.waitpid(self._started(run), 0)[1])
        assert code == 0, self._said()
        return time.monotonic() - began_s, self._here()[1]

    def attempt(self, run: Path, n_places: float, delay_s: float, seen: int) -> tuple[bool, int]:
        """Go on with a run, and kill it: whether it had ended, and its newest checkpoint's step.

        Parameters
        ----------
        n_places, delay_s :
            It comes to so many places, and has so long after that.
        seen :
            The newest one's step before.
        """
        pid = self._started(run)
        while self._here()[1] < n_places and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(_POLL_S)
        time.sleep(delay_s)
        os.kill(pid, signal.SIGKILL)  # it is not waited for yet, so it is there, ended or not
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert code in (0, -signal.SIGKILL), self._said()
        if code == -signal.SIGKILL:
            self.landed[PLACES[self._here()[0]]] += 1
            self.n_torn += any(run.rglob(".*.part"))
        checkpoint, damaged = load_latest(run)
        newest = 0 if checkpoint is None else checkpoint.meta.step
        self.n_lost += len(damaged) + (newest < seen)
        return code == 0, newest

    def _started(self, run: Path) -> int:
        is_there = (run / "target.toml").is_file()
        words = ["--resume", str(run)] if is_there else [*self._words, "--out", str(run)]
        _COUNT.pack_into(self._shared, 0, 0, 0)
        pid = os.fork()
        if pid:
            self.n_resumes += is_there
            return pid
        try:
            log = os.open(self._folder / "said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 1)
            os.dup2(log, 2)
            self._tell_places()
            main(["train", *words])
        except SystemExit as end:
            os._exit(int(end.code or 0))
        except BaseException:
            traceback.print_exc()
        os._exit(1)

    def _said(self) -> str:
        return (self._folder / "said.txt").read_text(errors="replace")

    def _tell_places(self) -> None:
        """Have this process, a child, say where it is, and its disk be slow."""
        fsync = os.fsync

        def slow(descriptor: int) -> None:
            fsync(descriptor)
            time.sleep(FSYNC_S)

        os.fsync = slow
        self._at("reading data", training.corpus, "load_corpus")
        self._at("between steps", training.trainer._Run, "to_the_end", then="after the last step")
        for executor in (DenseExecutor, StreamingExecutor):
            self._at("in a step", executor, "step")
            self._at("evaluating", executor, "evaluate")
        write = training.checkpoint.write_atomically

        def told(path: Path, content: Any) -> None:
            place = "writing a checkpoint's tensors" if path.suffix == ".safetensors" else "writing its description"
            self._while(place, lambda: write(path, content))

        training.checkpoint.write_atomically = told

    def _at(self, place: str, where: Any, name: str, then: str | None = None) -> None:
        function = getattr(where, name)

        @wraps(function)
        def told(*given: Any, **named: Any) -> Any:
            return self._while(place, lambda: function(*given, **named), then)

        setattr(where, name, told)

    def _while(self, place: str, action: Callable[[], Any], then: str | None = None) -> Any:
        before = self._come_to(PLACES.index(place))
        try:
            return action()
        finally:
            self._come_to(before if then is None else PLACES.index(then))

    def _come_to(self, place: int) -> int:
        """Where it was before."""
        before, n_places = self._here()
        _COUNT.pack_into(self._shared, 0, place, n_places + 1)
        return before

    def _here(self) -> tuple[int, int]:
        place, n_places = _COUNT.unpack_from(self._shared)
        return place, n_places


def killed(folder: Path, executor: str, n_kills: int, n_steps: int, seed: int) -> dict[str, Any]:
    """Kill runs that many times, let the last one end, and lay every one beside one that was left alone."""
    os.chdir(folder)
    (folder / "run.toml").write_text(_CONFIG.format(n_steps=n_steps), encoding="utf-8")
    words = ["--config", "run.toml", "--clip", "1.0", "--mode", "full" if executor == "streaming" else "dense"]
    words += ["--store", "store"] if executor == "streaming" else []
    killing, draws = Killing(folder, words), random.Random(seed)  # noqa: S311 - nothing secret hangs on it
    if executor == "streaming":
        killing.whole(folder / "warm")  # compiles
    took_s, n_places = killing.whole(folder / "whole")
    runs, seen = [folder / "run-1"], 0
    while killing.landed.total() < n_kills:
        left = int(n_places * (1.0 - seen / n_steps)) + _PLACES_AT_ENDS
        has_ended, seen = killing.attempt(runs[-1], *_moment(draws, left, took_s), seen)
        if has_ended:
            runs.append(folder / f"run-{len(runs) + 1}")
            seen = 0
    killing.whole(runs[-1])
    hidden = [path for run in runs for path in run.rglob(".*")]
    return {
        "kills": killing.landed.total(),
        "resumes": killing.n_resumes,
        "runs that ended": len(runs),
        "differing bytes": sum(differing_bytes(folder / "whole", run) for run in runs),
        "checkpoints lost": killing.n_lost,
        "kills that left something half-written": killing.n_torn,
        "half-written files left in the end": sum(path.name == LOCK_FILE or path.suffix == ".part" for path in hidden),
        "landed": dict(killing.landed),
    }


def _moment(draws: random.Random, n_places: int, took_s: float) -> tuple[float, float]:
    """Of a kill: by time, most of which is start and end; or by what a run does, so that short moments have their turn.

    Or never, or runs would come to their ends too seldom.
    """
    if draws.random() < _LEFT_ALONE:
        return math.inf, 0.0
    if draws.random() < _BY_TIME:
        return 0, draws.uniform(0.0, took_s)
    return draws.randrange(n_places), draws.uniform(0.0, _JUST_AFTER_S)


def differing_bytes(one: Path, other: Path) -> int:
    """Of weights, moments, masks, rows, mask updates, configuration and summary, but for what a clock measured."""
    names = sorted(path.name for path in (one / "checkpoints").glob("*.safetensors"))
    pairs = [(path / "checkpoints" / name for path in (one, other)) for name in names]
    pairs += [(path / name for path in (one, other)) for name in ("config.toml", "sparsity.jsonl", "trace.json")]
    found = [(a.read_bytes(), b.read_bytes()) for a, b in pairs]
    found += [(_rows(one), _rows(other)), (_summary(one), _summary(other))]
    return sum(sum(map(int.__ne__, a, b)) + abs(len(a) - len(b)) for a, b in found)


def _rows(run: Path) -> bytes:
    rows = [json.loads(line) for line in (run / "run.jsonl").read_text(encoding="utf-8").splitlines()]
    return json.dumps([{key: value for key, value in row.items() if key != "host_s"} for row in rows]).encode()


def _summary(run: Path) -> bytes:
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    del summary["command"], summary["choice"]["reasons"]
    for simulated in ("simulated", "simulated_dense"):
        del summary[simulated]["engine"]  # how fast it was
    summary["measured"] = {key: value for key, value in summary["measured"].items() if key not in _TIMES}
    return json.dumps(summary).encode()


if __name__ == "__main__":
    where, kind, *numbers = sys.argv[1:]
    print(json.dumps(killed(Path(where), kind, *map(int, numbers))))
