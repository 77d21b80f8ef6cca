"""Proof, on the user's own configuration, that a run that was killed goes on as if nothing had happened.

Each attempt is a process of its own, so that it can be killed like one: `wse-sim train --verify-resume`.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from training.checkpoint import load_checkpoint, saved_steps, tensor_path
from training.config import TrainConfig
from training.interrupt import Interrupted
from training.run_record import RUN_FILE, Row, read_rows
from training.trainer import train
from wse_sim.errors import SpecError
from wse_sim.progress import UNWATCHED, Watch

_N_STEPS = 4
_ROOT = Path(__file__).parent.parent
_POLL_S = 0.01
_MEASURED = ("host_s",)  # of a row: everything else is computed


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """What a process is to do: train until so many steps are done, and save."""

    config: TrainConfig
    folder: str
    n_steps: int
    is_resumed: bool


class ResumeProof(msgspec.Struct, frozen=True, kw_only=True):
    """A run in one go beside a run that was killed and resumed.

    Parameters
    ----------
    killed_after :
        Steps that the killed run had shown when it was killed (`kill -9`).
    resumed_from :
        Step of the checkpoint that it went on from.
    losses, resumed_losses :
        Of each step, in nats per token.
    is_same_state :
        Weights, masks and moments after the last step are the same, byte for byte.
    is_exact :
        So is everything: losses, gradient norms, learning rates, densities, and the state.
    """

    n_steps: int
    killed_after: int
    resumed_from: int
    losses: tuple[float, ...]
    resumed_losses: tuple[float, ...]
    is_same_state: bool
    is_exact: bool


def verify_resume(config: TrainConfig, folder: Path, *, watch: Watch = UNWATCHED) -> ResumeProof:
    """Train the first steps of a configuration in one go, and again with a `kill -9` in between.

    Parameters
    ----------
    folder :
        Gets both runs, `straight` and `killed`.
    watch :
        Hears of each run.

    Raises
    ------
    SpecError
        When the configuration has one step alone, or a run fails.
    """
    n_steps = min(_N_STEPS, config.n_steps)
    if n_steps < 2:
        raise SpecError("a run of one step cannot be resumed: two or more would be right")
    config = msgspec.structs.replace(
        config,
        checkpoint_interval=1,
        log_interval=1,
        eval_interval=config.n_steps,
        last_checkpoints=1,
        kept_checkpoints=(),
        on_nan="stop",
    )
    straight, killed = folder / "straight", folder / "killed"
    watch.begin(3, "runs")
    watch.say(f"{n_steps} steps in one go")
    _finish(_started(Attempt(config=config, folder=str(straight), n_steps=n_steps, is_resumed=False)))
    watch.came()
    watch.say("the same steps again, and kill -9 in between")
    process = _started(Attempt(config=config, folder=str(killed), n_steps=n_steps, is_resumed=False))
    killed_after = _kill_after(process, killed, n_steps - 1)
    watch.came()
    watch.say(f"killed after step {killed_after}; resumed")
    resumed_from = max(saved_steps(killed), default=0)
    _finish(_started(Attempt(config=config, folder=str(killed), n_steps=n_steps, is_resumed=True)))
    watch.came()
    rows, again = (read_rows(path / RUN_FILE)[:n_steps] for path in (straight, killed))
    states = [
        load_checkpoint(tensor_path(path, n_steps).with_suffix(".json")).meta.sha256 for path in (straight, killed)
    ]
    is_same_state = states[0] == states[1]
    return ResumeProof(
        n_steps=n_steps,
        killed_after=killed_after,
        resumed_from=resumed_from,
        losses=tuple(map(_loss, rows)),
        resumed_losses=tuple(map(_loss, again)),
        is_same_state=is_same_state,
        is_exact=is_same_state and list(map(_computed, rows)) == list(map(_computed, again)),
    )


def _started(attempt: Attempt) -> subprocess.Popen[bytes]:
    paths = (str(_ROOT), os.environ.get("PYTHONPATH", ""))
    process = subprocess.Popen(  # noqa: S603 - our own program, fixed words
        # Where the user stands: the paths of data are from there. -P: what is called `training` there is not ours.
        [sys.executable, "-P", "-m", __name__],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(attempt))
    process.stdin.close()
    process.stdin = None  # or `communicate` would close it again
    return process


def _finish(process: subprocess.Popen[bytes]) -> None:
    _, said = process.communicate()
    if process.returncode:
        raise _failure(process.returncode, said)


def _kill_after(process: subprocess.Popen[bytes], folder: Path, step: int) -> int:
    """Kill a run as soon as it has shown a step, and say which it had shown by then."""
    while process.poll() is None and _n_rows(folder) < step:
        time.sleep(_POLL_S)
    process.send_signal(signal.SIGKILL)
    _, said = process.communicate()
    if process.returncode not in (0, -signal.SIGKILL):
        raise _failure(process.returncode, said)
    return _n_rows(folder)


def _failure(code: int, said: bytes) -> SpecError:
    return SpecError(said.decode().strip().removeprefix("error: ") or f"the run ended with {code}")


def _n_rows(folder: Path) -> int:
    path = folder / RUN_FILE
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _loss(row: Row) -> float:
    assert row.loss is not None, "no step was skipped"
    return row.loss


def _computed(row: Row) -> dict[str, object]:
    return {key: value for key, value in msgspec.to_builtins(row).items() if key not in _MEASURED}


def main() -> None:
    """Do what comes in as JSON."""
    attempt = msgspec.json.decode(sys.stdin.buffer.read(), type=Attempt)

    def stop(row: Row) -> None:
        if row.step >= attempt.n_steps:
            raise KeyboardInterrupt

    try:
        train(attempt.config, attempt.folder, on_step=stop, resume=attempt.is_resumed)
    except Interrupted:
        return
    except SpecError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
