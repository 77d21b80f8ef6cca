"""Trains one point of a grid: what the processes of `training.grid` do."""

from functools import lru_cache
from pathlib import Path

import msgspec

from training.config import TrainConfig
from training.data import Corpus, load_corpus
from training.divergence import DivergenceError
from training.interrupt import Interrupted, stop_when_orphaned
from training.outcome import Key, Outcome
from training.run_record import RUN_FILE, Row, read_rows
from training.trainer import train
from wse_sim.files import turn_in
from wse_sim.workload.transformer import n_parameters

_CHECKPOINT_EVERY_S = 60.0
# Rough on purpose: it only says how many steps are about a minute. 6 FLOPs per parameter and token, and Python's time.
_FLOPS_PER_S = 1.5e10
_LEAST_STEP_S = 5e-3
_TAIL = 0.1


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A point to train, and the folder to do it in."""

    key: Key
    digest: str
    config: TrainConfig
    folder: str

    @property
    def name(self) -> str:
        """For errors."""
        return "the run with " + ", ".join(f"{name} {value}" for name, value in self.key.items())


def train_point(task: Task) -> Outcome:
    """Train a point, from its last checkpoint if there is one.

    Raises
    ------
    KeyboardInterrupt
        On Ctrl-C, or when the process that wants the outcome is gone; after a checkpoint was written.
    """
    folder = Path(task.folder)
    config = msgspec.structs.replace(task.config, checkpoint_interval=_steps_between_checkpoints(task.config))
    corpus = _corpus(config.data, config.tokenizer, config.text_field)
    with turn_in(folder):
        try:
            train(config, folder, corpus=corpus, resume=True, on_step=stop_when_orphaned())
            is_diverged = False
        except Interrupted:
            raise KeyboardInterrupt from None
        except DivergenceError:
            is_diverged = True
        return _summed_up(task, read_rows(folder / RUN_FILE), corpus, is_diverged)


@lru_cache(maxsize=1)
def _corpus(data: str, tokenizer: str, text_field: str) -> Corpus:
    return load_corpus(data, tokenizer=tokenizer, text_field=text_field)


def _in_words(config: TrainConfig) -> str:
    """What tells data of the grid from other data of it; of bytes, as old outcomes have it."""
    return config.data if config.tokenizer == "bytes" else f"{config.data} by {config.tokenizer}"


def _steps_between_checkpoints(config: TrainConfig) -> int:
    step_s = max(_LEAST_STEP_S, 6.0 * n_parameters(config.shape) * config.tokens_per_step / _FLOPS_PER_S)
    return max(1, round(_CHECKPOINT_EVERY_S / step_s))


def _summed_up(task: Task, rows: list[Row], corpus: Corpus, is_diverged: bool) -> Outcome:
    last = rows[-1] if rows else None
    n_steps = last.step if last else 0
    tail = [row.loss for row in rows if row.step > (1.0 - _TAIL) * n_steps and row.loss is not None]
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
        data=_in_words(task.config),
        data_sha256=corpus.fingerprint.sha256,
    )
