"""Trains a model: the same configuration gives the same losses, byte for byte, in one go or with interruptions.

Under `torchrun` every process does all of this, and the first one alone writes files.
"""

import math
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from training.checkpoint import save_checkpoint, tensor_path
from training.config import TrainConfig
from training.corpus import corpus_of
from training.data import Corpus, TrainOrder, fitted, held_out_batches, require_enough
from training.deterministic import deterministic
from training.disk import require_room
from training.distributed import World, joined, save_together
from training.divergence import Diverged, Skipped, finite
from training.executor import Stepped
from training.executors import make_executor
from training.interrupt import Interrupted, StopRequest, stop_on_interrupt
from training.jsonl import AnyLine, LineWriter, UnwrittenLines
from training.loggers import Loggers
from training.memory import available_memory_bytes, require_memory
from training.run_folder import folders_held, prepare_folder
from training.run_record import RUN_FILE, SPARSITY_FILE, LinearClock, Row, RunRecord, SimulatedClock, bits_per_byte
from training.sparsity.updater import MaskUpdate
from training.starting_point import StartingPoint, require_agreement, starting_point
from training.streaming.record import STREAM_FILE, StreamRow
from wse_sim.errors import SpecError

_EVAL_BATCH = 32
_FIRST_STEPS_STREAMED = 3  # whose layers are written out, as those of steps that are evaluated are

OnStep = Callable[[Row], object]


def train(
    config: TrainConfig,
    out_dir: Path | str,
    *,
    on_step: OnStep | None = None,
    resume: bool = False,
    clock: SimulatedClock | None = None,
    corpus: Corpus | None = None,
    branch_from: Path | str | None = None,
    loggers: Loggers | None = None,
) -> RunRecord:
    """The record of a whole training run.

    Parameters
    ----------
    out_dir :
        Gets `config.toml`, `run.jsonl`, `checkpoints/`, where masks change, `sparsity.jsonl`, and where text was made
        tokens of by one, `tokenizer.json`; must not hold another run, unless it is resumed.
    on_step :
        Called after each step with its row, logged or not; under `torchrun`, in every process.
    resume :
        Go on from the newest undamaged checkpoint; from the start where there is none.
    clock :
        Fraction of the run that is done -> simulated seconds on wafer and GPU.
    corpus :
        In place of the one that config.data names.
    branch_from :
        A checkpoint of another run, to start from its weights, moments, masks and place in the data, at its step. The
        two configurations may differ in the learning-rate schedule and the number of steps: a cooldown branches so
        from a stable run. `config.branch` of the record says where it came from.
    loggers :
        Dashboards that follow the run (`training.loggers.make_loggers`), those of the first process alone; they are
        ended with it. None = the run's own files are all.

    Raises
    ------
    SpecError
        When the folder cannot be written or holds another run, another process is at work in it, the data are too
        small, the checkpoint does not fit, the device is not there, processes cannot share the work, a logger cannot
        begin, or the loss is no longer a finite number (`DivergenceError`).
    Interrupted
        When the user pressed Ctrl-C; the run can be resumed.
    """
    run_dir = Path(out_dir)
    with ExitStack() as held, joined(config.execution.device) as world:
        folders = folders_held(config, run_dir)
        data = corpus_of(config) if corpus is None else fitted(corpus, config.shape.vocab_size)
        require_enough(data, seq_len=config.seq_len, batch_size=config.batch_size)
        require_memory(config, available_memory_bytes())
        if is_there := world.from_first(resume and run_dir.is_dir()):
            world.first_does(lambda: held.enter_context(folders))  # before its checkpoints are looked at
        start = starting_point(
            config, run_dir, data, resume=resume, branch_from=None if branch_from is None else Path(branch_from)
        )
        require_agreement(world, start, data)
        require_room(start.config, run_dir)
        if not is_there:
            world.first_does(lambda: held.enter_context(folders))
        world.first_does(lambda: prepare_folder(run_dir, start, data, resume=resume))
        with deterministic(config.n_threads), stop_on_interrupt() as stop:
            run = _Run(start, run_dir, data, clock or LinearClock(), world, loggers)
            return run.to_the_end(on_step, stop)


class _Run:
    """The state of one run: everything that changes from step to step."""

    def __init__(
        self,
        start: StartingPoint,
        run_dir: Path,
        data: Corpus,
        clock: SimulatedClock,
        world: World,
        loggers: Loggers | None,
    ) -> None:
        config, checkpoint = start.config, start.checkpoint
        self.config, self.run_dir, self.data, self.clock, self.warnings = config, run_dir, data, clock, start.warnings
        self.world, self.is_mid_step = world, False  # in which weights, rows and checkpoint do not belong together
        self.order = TrainOrder(data.train, config.seq_len, config.seed)
        self.held_out = held_out_batches(
            data.val,
            seq_len=config.seq_len,
            n_sequences=config.n_eval_sequences,
            batch_size=config.execution.microbatch or _EVAL_BATCH,
        )
        self.n_done, self.host_s_before, self.skipped = 0, 0.0, Skipped()
        if checkpoint is not None:
            meta = checkpoint.meta
            self.n_done, self.host_s_before = meta.step, meta.host_s
            self.skipped = Skipped(n=meta.n_skipped, in_a_row=meta.n_skipped_in_a_row)
        with ExitStack() as opened:  # what is open is closed if the next thing fails
            self.executor = opened.enter_context(closing(make_executor(config, checkpoint, world)))
            writer = LineWriter if world.is_first else UnwrittenLines

            def lines(name: str, kind: type[AnyLine]) -> LineWriter[AnyLine] | UnwrittenLines[AnyLine]:
                return opened.enter_context(closing(writer(run_dir / name, kind, self.n_done)))

            self.rows = lines(RUN_FILE, Row)
            self.mask_updates = lines(SPARSITY_FILE, MaskUpdate) if config.sparsity_plan.is_dynamic else None
            is_streaming = config.execution.executor == "streaming"
            self.streamed = lines(STREAM_FILE, StreamRow) if is_streaming else None
            self.close = opened.pop_all().close
        self.loggers = loggers if loggers is not None and world.is_first else Loggers()
        self.started_s = time.perf_counter()

    def to_the_end(self, on_step: OnStep | None, stop: StopRequest) -> RunRecord:
        record = None
        try:
            self.world.first_does(self._start_loggers)
            while self.n_done < self.config.n_steps:
                self._one_step(on_step, stop)
            record = self._record()
        except KeyboardInterrupt:
            if self.is_mid_step:
                raise
            self._save()
            raise Interrupted(self.run_dir, self.n_done) from None
        finally:
            self.close()
            self.loggers.end(record)
        return replace(record, warnings=(*record.warnings, *self.loggers.warnings))

    def _start_loggers(self) -> None:
        updates = () if self.mask_updates is None else self.mask_updates.lines
        self.loggers.start(
            self.run_dir, self.config, host_s=self.host_s_before, rows=self.rows.lines, mask_updates=updates
        )
        self.started_s = time.perf_counter()  # what loggers take to begin is no part of the run

    def _one_step(self, on_step: OnStep | None, stop: StopRequest) -> None:
        config, step = self.config, self.n_done
        self.is_mid_step = True
        stepped = self.executor.step(self.order.batch(step * config.batch_size, config.batch_size), step)
        self.n_done += 1
        self._count_skipped(stepped)
        if stepped.mask_update is not None and self.mask_updates is not None:
            self.mask_updates.append(stepped.mask_update)
            self.loggers.log(stepped.mask_update)
        is_evaluated = self._is_due(config.eval_interval)
        row = self._row(stepped, self._val_loss(stepped) if is_evaluated else None)
        is_first = self.n_done == 1 + self.skipped.n  # of those that have a loss
        if is_evaluated or is_first or self._is_due(config.log_interval) or not stepped.is_finite:
            self.rows.append(row)
            self.loggers.log(row)
        is_streamed = stepped.is_finite and (is_evaluated or self.n_done <= _FIRST_STEPS_STREAMED)
        if self.streamed is not None and is_streamed:
            for streamed in self.executor.stream_rows(self.n_done):
                self.streamed.append(streamed)
        if self._is_to_be_saved():
            self._save()
        self.is_mid_step = False
        try:
            if on_step is not None:
                on_step(row)
        except KeyboardInterrupt:
            stop.is_pending = True  # for the other processes to hear of it
        if self.world.any(stop.is_pending) and self.n_done < config.n_steps:
            raise KeyboardInterrupt

    def _val_loss(self, stepped: Stepped) -> float:
        """The held-out loss; weights that left the numbers in a last update show here alone."""
        val_loss = self.executor.evaluate(self.held_out)
        if not math.isfinite(val_loss):
            raise self._diverged(stepped, f"the held-out loss after it is {val_loss}")
        return val_loss

    def _count_skipped(self, stepped: Stepped) -> None:
        """Raise DivergenceError when a step was no good, and the run is not to go on without it."""
        self.skipped = self.skipped.after(is_finite=stepped.is_finite)
        if not stepped.is_finite and self.config.on_nan == "stop":
            raise self._diverged(stepped)
        if self.skipped.is_too_much(self.config):
            raise self._diverged(stepped, f"{self.skipped.in_a_row} steps in a row were skipped")

    def _diverged(self, stepped: Stepped, why: str = "") -> SpecError:
        config = self.config
        return Diverged(
            step=self.n_done,
            loss=stepped.loss,
            grad_norm=stepped.grad_norm,
            lr=self._lr,
            in_a_row=self.skipped.in_a_row,
            sequences=self.order.numbers((self.n_done - 1) * config.batch_size, config.batch_size),
        ).error(config, self.run_dir, why)

    @property
    def _lr(self) -> float:
        """Of the last step."""
        return self.config.lr_factor(self.n_done - 1) * self.config.base.peak_lr

    def _row(self, stepped: Stepped, val_loss: float | None) -> Row:
        wafer_s, gpu_s = self.clock(self.n_done / self.config.n_steps)
        loss, grad_norm = (stepped.loss, stepped.grad_norm) if stepped.is_finite else (None, None)
        return Row(
            step=self.n_done,
            tokens=self.n_done * self.config.tokens_per_step,
            loss=loss,
            bits_per_byte=None if loss is None else bits_per_byte(loss, self.data.train),
            lr=self._lr,
            grad_norm=grad_norm,
            density=self.executor.mask_updater.density,
            host_s=self._host_s(),
            wafer_s=wafer_s,
            gpu_s=gpu_s,
            val_loss=val_loss,
            val_bits_per_byte=None if val_loss is None else bits_per_byte(val_loss, self.data.val),
            n_skipped=self.skipped.n,
        )

    def _is_due(self, interval: int) -> bool:
        return self.n_done % interval == 0 or self.n_done == self.config.n_steps

    def _is_to_be_saved(self) -> bool:
        """Not again and again while steps are skipped, or checkpoints from before them would go for its likes."""
        config = self.config
        is_new = self.skipped.in_a_row < config.checkpoint_interval or self.n_done == config.n_steps
        return self.n_done in config.kept_checkpoints or (is_new and self._is_due(config.checkpoint_interval))

    def _host_s(self) -> float:
        return self.host_s_before + time.perf_counter() - self.started_s

    def _save(self) -> None:
        # The rows first: a checkpoint must never be ahead of them.
        for writer in self._writers():
            writer.sync()
        save_together(
            self.world,
            self.executor.saved_parameters(),
            lambda parameters: save_checkpoint(
                self.run_dir,
                finite(parameters, self.n_done, self.config),
                step=self.n_done,
                host_s=self._host_s(),
                config=self.config,
                data=self.data.fingerprint,
                ever_live=self.executor.mask_updater.ever_live,
                n_skipped=self.skipped.n,
                n_skipped_in_a_row=self.skipped.in_a_row,
            ),
        )

    def _writers(self) -> list[LineWriter[Any] | UnwrittenLines[Any]]:
        return [writer for writer in (self.rows, self.mask_updates, self.streamed) if writer is not None]

    def _record(self) -> RunRecord:
        return RunRecord(
            run_dir=self.run_dir,
            config=self.config,
            rows=tuple(self.rows.lines),
            n_params=self.executor.n_params,
            n_nonzero_params=self.executor.n_nonzero_params,
            data=self.data.fingerprint,
            entropy_nats=self.data.entropy_nats,
            host_s=self.rows.lines[-1].host_s,
            checkpoint=tensor_path(self.run_dir, self.config.n_steps),
            mask_updates=() if self.mask_updates is None else tuple(self.mask_updates.lines),
            warnings=(*self.warnings, *self.skipped.in_words),
        )
