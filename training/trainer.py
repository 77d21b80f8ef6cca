"""Trains a model: the same configuration gives the same losses, byte for byte, in one go or with interruptions."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.build import build_model
from models.gpt import GPT
from models.sparse import n_nonzero
from training.checkpoint import Checkpoint, load_latest, restore, save_checkpoint, tensor_path
from training.config import TrainConfig, config_to_toml
from training.data import Corpus, TrainOrder, held_out_batches, load_corpus, require_enough
from training.interrupt import Interrupted, StopRequest, stop_on_interrupt
from training.optimizer import build_optimizer, compute_gradient, set_lr
from training.run_record import RUN_FILE, LinearClock, Row, RowWriter, RunRecord, SimulatedClock, bits
from training.schedules import lr_factor
from wse_sim.errors import SpecError
from wse_sim.files import write_atomically

CONFIG_FILE = "config.toml"
_EVAL_BATCH = 32
# How often a run looks and saves does not change what it computes.
_MAY_CHANGE_ON_RESUME = frozenset({"eval_interval", "log_interval", "checkpoint_interval"})

OnStep = Callable[[Row], None]


def train(
    config: TrainConfig,
    out_dir: Path | str,
    *,
    on_step: OnStep | None = None,
    resume: bool = False,
    clock: SimulatedClock | None = None,
    corpus: Corpus | None = None,
) -> RunRecord:
    """The record of a whole training run.

    Parameters
    ----------
    out_dir :
        Gets `config.toml`, `run.jsonl` and `checkpoints/`; must not hold another run, unless it is resumed.
    on_step :
        Called after each step with its row, logged or not.
    resume :
        Go on from the newest undamaged checkpoint; from the start where there is none.
    clock :
        Fraction of the run that is done -> simulated seconds on wafer and GPU.
    corpus :
        In place of the one that config.data names.

    Raises
    ------
    SpecError
        When the folder cannot be written or holds another run, the data are too small, or the loss is no longer a
        finite number.
    Interrupted
        When the user pressed Ctrl-C; the run can be resumed.
    """
    run_dir = Path(out_dir)
    data = load_corpus(config.data) if corpus is None else corpus
    require_enough(data, seq_len=config.seq_len, batch_size=config.batch_size)
    checkpoint, warnings = load_latest(run_dir) if resume else (None, [])
    if checkpoint is not None:
        _require_same_run(checkpoint, config, data, run_dir)
    elif resume:
        warnings.append(f"{run_dir}: there is no checkpoint yet, the run starts from the beginning")
    _prepare_folder(run_dir, config, resume=resume)
    with _deterministic(config.n_threads), stop_on_interrupt() as stop:
        run = _Run(config, run_dir, data, clock or LinearClock(), checkpoint)
        return run.to_the_end(on_step, stop, tuple(warnings))


class _Run:
    """The state of one run: everything that changes from step to step."""

    def __init__(
        self, config: TrainConfig, run_dir: Path, data: Corpus, clock: SimulatedClock, checkpoint: Checkpoint | None
    ) -> None:
        built = build_model(
            config.shape,
            config.parameters_transfer_by,
            seed=config.seed,
            density=config.density,
            weight_decay=config.weight_decay,
        )
        self.config, self.run_dir, self.data, self.clock = config, run_dir, data, clock
        self.model, self.masks = built.model, built.masks
        self.optimizer = build_optimizer(built.model, built.table, betas=config.betas, eps=config.eps)
        self.order = TrainOrder(data.train, config.seq_len, config.seed)
        self.held_out = held_out_batches(
            data.val, seq_len=config.seq_len, n_sequences=config.n_eval_sequences, batch_size=_EVAL_BATCH
        )
        self.n_done = 0
        self.host_s_before = 0.0
        self.is_mid_step = False  # weights, rows and checkpoint do not belong together
        if checkpoint is not None:
            restore(checkpoint, self.model, self.optimizer)
            self.n_done, self.host_s_before = checkpoint.meta.step, checkpoint.meta.host_s
        self.writer = RowWriter(run_dir, last_step=self.n_done)
        self.started_s = time.perf_counter()

    def to_the_end(self, on_step: OnStep | None, stop: StopRequest, warnings: tuple[str, ...]) -> RunRecord:
        try:
            while self.n_done < self.config.n_steps:
                self._one_step(on_step, stop)
            return self._record(warnings)
        except KeyboardInterrupt:
            if self.is_mid_step:
                raise
            self._save()
            raise Interrupted(self.run_dir, self.n_done) from None
        finally:
            self.writer.close()

    def _one_step(self, on_step: OnStep | None, stop: StopRequest) -> None:
        config = self.config
        self.is_mid_step = True
        loss, grad_norm, lr = self._update()
        self.n_done += 1
        is_evaluated = self._is_due(config.eval_interval)
        row = self._row(loss, grad_norm, lr, evaluate(self.model, self.held_out) if is_evaluated else None)
        if is_evaluated or self.n_done == 1 or self._is_due(config.log_interval):
            self.writer.append(row)
        if self._is_due(config.checkpoint_interval):
            self._save()
        self.is_mid_step = False
        if on_step is not None:
            on_step(row)
        if stop.is_pending and self.n_done < config.n_steps:
            raise KeyboardInterrupt

    def _update(self) -> tuple[float, float, float]:
        """Loss before, gradient norm of, and base learning rate of one optimizer step."""
        config, step = self.config, self.n_done
        factor = lr_factor(config.schedule, step, config.n_steps, config.n_warmup_steps)
        batch = self.order.batch(step * config.batch_size, config.batch_size)
        loss, grad_norm = compute_gradient(self.model, self.masks, self.optimizer, batch, config.clip)
        if not (math.isfinite(loss) and math.isfinite(grad_norm)):
            raise SpecError(
                f"step {step + 1}: the loss is {loss} and the gradient norm {grad_norm}: training diverged; "
                f"a base learning rate below {config.base.peak_lr:g} or a longer warm-up would be right"
            )
        set_lr(self.optimizer, factor)
        self.optimizer.step()
        return loss, grad_norm, factor * config.base.peak_lr

    def _row(self, loss: float, grad_norm: float, lr: float, val_loss: float | None) -> Row:
        wafer_s, gpu_s = self.clock(self.n_done / self.config.n_steps)
        return Row(
            step=self.n_done,
            tokens=self.n_done * self.config.tokens_per_step,
            loss=loss,
            bits_per_byte=bits(loss),
            lr=lr,
            grad_norm=grad_norm,
            density=self.config.density,
            host_s=self._host_s(),
            wafer_s=wafer_s,
            gpu_s=gpu_s,
            val_loss=val_loss,
            val_bits_per_byte=None if val_loss is None else bits(val_loss),
        )

    def _is_due(self, interval: int) -> bool:
        return self.n_done % interval == 0 or self.n_done == self.config.n_steps

    def _host_s(self) -> float:
        return self.host_s_before + time.perf_counter() - self.started_s

    def _save(self) -> None:
        # The rows first: a checkpoint must never be ahead of them.
        self.writer.sync()
        save_checkpoint(
            self.run_dir,
            self.model,
            self.optimizer,
            step=self.n_done,
            host_s=self._host_s(),
            config=self.config,
            data=self.data.fingerprint,
        )

    def _record(self, warnings: tuple[str, ...]) -> RunRecord:
        return RunRecord(
            run_dir=self.run_dir,
            config=self.config,
            rows=tuple(self.writer.rows),
            n_params=sum(parameter.numel() for parameter in self.model.parameters()),
            n_nonzero_params=n_nonzero(self.model),
            data=self.data.fingerprint,
            host_s=self.writer.rows[-1].host_s,
            checkpoint=tensor_path(self.run_dir, self.config.n_steps),
            warnings=warnings,
        )


@torch.no_grad()
def evaluate(model: GPT, batches: list[tuple[Tensor, Tensor]]) -> float:
    """Mean loss over the batches, nats per token."""
    total, n_tokens = 0.0, 0
    for inputs_BT, targets_BT in batches:
        total += model.loss(inputs_BT, targets_BT).item() * targets_BT.numel()
        n_tokens += targets_BT.numel()
    return total / n_tokens


@contextmanager
def _deterministic(n_threads: int) -> Iterator[None]:
    """Fixed threads and no algorithm whose result depends on timing, while it lasts."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic
    fill = memory.fill_uninitialized_memory
    torch.set_num_threads(n_threads)
    torch.use_deterministic_algorithms(True)
    # It would overwrite every new tensor with NaN first: a help in debugging that costs time and changes no result.
    memory.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
        memory.fill_uninitialized_memory = fill


def _prepare_folder(run_dir: Path, config: TrainConfig, *, resume: bool) -> None:
    if (run_dir / RUN_FILE).exists() and not resume:
        raise SpecError(f"{run_dir}: there is a run in this folder already: resume it, or name another folder")
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        write_atomically(run_dir / CONFIG_FILE, config_to_toml(config).encode())
    except OSError as error:
        raise SpecError(f"{run_dir}: the run's folder cannot be written: {error.strerror}") from None


def _require_same_run(checkpoint: Checkpoint, config: TrainConfig, data: Corpus, run_dir: Path) -> None:
    old = checkpoint.meta.config
    for key in config.__struct_fields__:
        if key not in _MAY_CHANGE_ON_RESUME and getattr(old, key) != getattr(config, key):
            raise SpecError(
                f"{run_dir}: the run was started with {key} = {getattr(old, key)!r}, it cannot be resumed with "
                f"{getattr(config, key)!r}"
            )
    if checkpoint.meta.data != data.fingerprint:
        raise SpecError(
            f"{run_dir}: the run was started on other data ({checkpoint.meta.data}), not {data.fingerprint}"
        )
