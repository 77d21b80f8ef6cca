"""Trains points of a grid: reads tasks and writes replies, a JSON line each. See `training.grid_pool`."""

import os
import signal
import sys
import traceback
from functools import lru_cache
from pathlib import Path
from typing import IO

import msgspec

from training.config import TrainConfig
from training.data import Corpus, load_corpus
from training.grid_pool import Reply, Task
from training.interrupt import Interrupted
from training.outcome import Outcome
from training.run_record import RUN_FILE, Row, read_rows
from training.trainer import train
from wse_sim.errors import SpecError
from wse_sim.workload.transformer import n_parameters

_DIVERGED = "training diverged"  # what the trainer says
_CHECKPOINT_EVERY_S = 60.0
# Rough on purpose: it only says how many steps are about a minute. 6 FLOPs per parameter and token, and Python's time.
_FLOPS_PER_S = 1.5e10
_LEAST_STEP_S = 5e-3
_TAIL = 0.1
_PARENT = os.getppid()


def main() -> None:
    """Train what comes until nothing comes any more, or Ctrl-C."""
    replies = _private_stdout()
    try:
        replies.write(b"ready\n")
        for line in sys.stdin.buffer:
            reply = _reply(msgspec.json.decode(line, type=Task))
            replies.write(msgspec.json.encode(reply) + b"\n")
    except (KeyboardInterrupt, BrokenPipeError):
        return
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it would only spoil the interpreter's own end


def _private_stdout() -> IO[bytes]:
    """The pipe to the caller; whatever else prints goes to stderr from now on."""
    pipe = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return pipe


def _reply(task: Task) -> Reply:
    try:
        return Reply(outcome=_outcome(task))
    except Interrupted:
        return Reply()
    except SpecError as error:
        return Reply(error=str(error), is_input_error=True)
    except Exception:
        return Reply(error=traceback.format_exc())


def _outcome(task: Task) -> Outcome:
    folder = Path(task.folder)
    config = msgspec.structs.replace(task.config, checkpoint_interval=_steps_between_checkpoints(task.config))
    corpus = _corpus(config.data)
    try:
        train(config, folder, corpus=corpus, resume=True, on_step=_stop_if_orphaned)
        is_diverged = False
    except SpecError as error:
        if _DIVERGED not in str(error):
            raise
        is_diverged = True
    return _summed_up(task, read_rows(folder / RUN_FILE), corpus, is_diverged)


@lru_cache(maxsize=1)
def _corpus(data: str) -> Corpus:
    return load_corpus(data)


def _steps_between_checkpoints(config: TrainConfig) -> int:
    step_s = max(_LEAST_STEP_S, 6.0 * n_parameters(config.shape) * config.tokens_per_step / _FLOPS_PER_S)
    return max(1, round(_CHECKPOINT_EVERY_S / step_s))


def _stop_if_orphaned(row: Row) -> None:
    """Stops, as on Ctrl-C, once the process that wants the outcome is gone."""
    if os.getppid() != _PARENT:
        raise KeyboardInterrupt


def _summed_up(task: Task, rows: list[Row], corpus: Corpus, is_diverged: bool) -> Outcome:
    last = rows[-1] if rows else None
    n_steps = last.step if last else 0
    tail = [row.loss for row in rows if row.step > (1.0 - _TAIL) * n_steps]
    return Outcome(
        key=task.key,
        digest=task.digest,
        val_loss=None if is_diverged or last is None else last.val_loss,
        train_loss=None if is_diverged else sum(tail) / len(tail),
        is_diverged=is_diverged,
        n_steps=n_steps,
        tokens=n_steps * task.config.tokens_per_step,
        host_s=last.host_s if last else 0.0,
        curve=tuple((row.step, row.val_loss) for row in rows if row.val_loss is not None),
        data=task.config.data,
        data_sha256=corpus.fingerprint.sha256,
    )


if __name__ == "__main__":
    main()
