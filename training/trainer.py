"""Trains a model: the same configuration gives the same losses, byte for byte, in one go or with interruptions."""

import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from models.build import build_model
from models.gpt import GPT
from models.sparse import n_nonzero
from training.checkpoint import ever_live_of, restore, save_checkpoint, tensor_path
from training.config import CONFIG_FILE, TrainConfig
from training.data import Corpus, TrainOrder, held_out_batches, load_corpus, require_enough
from training.deterministic import deterministic
from training.interrupt import Interrupted, StopRequest, stop_on_interrupt
from training.jsonl import LineWriter
from training.optimizer import build_optimizer, compute_gradient, set_lr
from training.run_record import RUN_FILE, SPARSITY_FILE, LinearClock, Row, RunRecord, SimulatedClock, bits
from training.sparsity.updater import MaskUpdate, MaskUpdater
from training.starting_point import StartingPoint, starting_point
from training.toml_text import toml_text
from wse_sim.errors import SpecError
from wse_sim.files import write_atomically

_EVAL_BATCH = 32

OnStep = Callable[[Row], None]


def train(
    config: TrainConfig,
    out_dir: Path | str,
    *,
    on_step: OnStep | None = None,
    resume: bool = False,
    clock: SimulatedClock | None = None,
    corpus: Corpus | None = None,
    branch_from: Path | str | None = None,
) -> RunRecord:
    """The record of a whole training run.

    Parameters
    ----------
    out_dir :
        Gets `config.toml`, `run.jsonl`, `checkpoints/` and, where masks change, `sparsity.jsonl`; must not hold another
        run, unless it is resumed.
    on_step :
        Called after each step with its row, logged or not.
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

    Raises
    ------
    SpecError
        When the folder cannot be written or holds another run, the data are too small, the checkpoint does not fit,
        or the loss is no longer a finite number.
    Interrupted
        When the user pressed Ctrl-C; the run can be resumed.
    """
    run_dir = Path(out_dir)
    data = load_corpus(config.data) if corpus is None else corpus
    require_enough(data, seq_len=config.seq_len, batch_size=config.batch_size)
    start = starting_point(
        config, run_dir, data, resume=resume, branch_from=None if branch_from is None else Path(branch_from)
    )
    _prepare_folder(run_dir, start.config, resume=resume)
    with deterministic(config.n_threads), stop_on_interrupt() as stop:
        return _Run(start, run_dir, data, clock or LinearClock()).to_the_end(on_step, stop)


class _Run:
    """The state of one run: everything that changes from step to step."""

    def __init__(self, start: StartingPoint, run_dir: Path, data: Corpus, clock: SimulatedClock) -> None:
        config, checkpoint = start.config, start.checkpoint
        self.config, self.run_dir, self.data, self.clock, self.warnings = config, run_dir, data, clock, start.warnings
        plan = config.sparsity_plan
        built = build_model(
            config.shape,
            config.parameters_transfer_by,
            seed=config.seed,
            density=plan.densities,
            weight_decay=config.weight_decay,
            eps=config.eps,
            start_masks=lambda model: plan.start_masks(model, config.seed),
        )
        self.model, self.masks = built.model, built.masks
        self.optimizer = build_optimizer(built.model, built.table, betas=config.betas)
        self.order = TrainOrder(data.train, config.seq_len, config.seed)
        self.held_out = held_out_batches(
            data.val, seq_len=config.seq_len, n_sequences=config.n_eval_sequences, batch_size=_EVAL_BATCH
        )
        self.n_done = 0
        self.host_s_before = 0.0
        self.is_mid_step = False  # weights, rows and checkpoint do not belong together
        if checkpoint is not None:
            restore(checkpoint, self.model, self.optimizer)
            self.masks.reread()
            self.n_done, self.host_s_before = checkpoint.meta.step, checkpoint.meta.host_s
        ever_live = {} if checkpoint is None else ever_live_of(checkpoint)
        self.mask_updater = MaskUpdater(plan, self.masks, self.optimizer, seed=config.seed, ever_live=ever_live)
        self.rows = LineWriter(run_dir / RUN_FILE, Row, self.n_done)
        self.mask_updates = LineWriter(run_dir / SPARSITY_FILE, MaskUpdate, self.n_done) if plan.is_dynamic else None
        self.started_s = time.perf_counter()

    def to_the_end(self, on_step: OnStep | None, stop: StopRequest) -> RunRecord:
        try:
            while self.n_done < self.config.n_steps:
                self._one_step(on_step, stop)
            return self._record()
        except KeyboardInterrupt:
            if self.is_mid_step:
                raise
            self._save()
            raise Interrupted(self.run_dir, self.n_done) from None
        finally:
            for writer in self._writers():
                writer.close()

    def _one_step(self, on_step: OnStep | None, stop: StopRequest) -> None:
        config = self.config
        self.is_mid_step = True
        loss, grad_norm, lr = self._update()
        self.n_done += 1
        is_evaluated = self._is_due(config.eval_interval)
        row = self._row(loss, grad_norm, lr, evaluate(self.model, self.held_out) if is_evaluated else None)
        if is_evaluated or self.n_done == 1 or self._is_due(config.log_interval):
            self.rows.append(row)
        if self._is_due(config.checkpoint_interval) or self.n_done in config.kept_checkpoints:
            self._save()
        self.is_mid_step = False
        if on_step is not None:
            on_step(row)
        if stop.is_pending and self.n_done < config.n_steps:
            raise KeyboardInterrupt

    def _update(self) -> tuple[float, float, float]:
        """Loss before, gradient norm of, and base learning rate of one optimizer step."""
        config, step = self.config, self.n_done
        factor = config.lr_factor(step)
        batch = self.order.batch(step * config.batch_size, config.batch_size)
        loss, grad_norm = compute_gradient(
            self.model,
            self.masks,
            self.optimizer,
            batch,
            config.clip,
            on_dense_gradient=lambda: self.mask_updater.keep_gradients(step + 1),
        )
        if not (math.isfinite(loss) and math.isfinite(grad_norm)):
            raise SpecError(
                f"step {step + 1}: the loss is {loss} and the gradient norm {grad_norm}: training diverged; "
                f"a base learning rate below {config.base.peak_lr:g} or a longer warm-up would be right"
            )
        set_lr(self.optimizer, factor)
        self.optimizer.step()
        update = self.mask_updater.update(step + 1)
        if update is not None and self.mask_updates is not None:
            self.mask_updates.append(update)
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
            density=self.mask_updater.density,
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
        for writer in self._writers():
            writer.sync()
        save_checkpoint(
            self.run_dir,
            self.model,
            self.optimizer,
            step=self.n_done,
            host_s=self._host_s(),
            config=self.config,
            data=self.data.fingerprint,
            ever_live=self.mask_updater.ever_live,
        )

    def _writers(self) -> list[LineWriter[Row] | LineWriter[MaskUpdate]]:
        return [self.rows] if self.mask_updates is None else [self.rows, self.mask_updates]

    def _record(self) -> RunRecord:
        return RunRecord(
            run_dir=self.run_dir,
            config=self.config,
            rows=tuple(self.rows.lines),
            n_params=sum(parameter.numel() for parameter in self.model.parameters()),
            n_nonzero_params=n_nonzero(self.model),
            data=self.data.fingerprint,
            host_s=self.rows.lines[-1].host_s,
            checkpoint=tensor_path(self.run_dir, self.config.n_steps),
            mask_updates=() if self.mask_updates is None else tuple(self.mask_updates.lines),
            warnings=self.warnings,
        )


@torch.no_grad()
def evaluate(model: GPT, batches: list[tuple[Tensor, Tensor]]) -> float:
    """Mean loss over the batches, nats per token."""
    total, n_tokens = 0.0, 0
    for inputs_BT, targets_BT in batches:
        total += model.loss(inputs_BT, targets_BT).item() * targets_BT.numel()
        n_tokens += targets_BT.numel()
    return total / n_tokens


def _prepare_folder(run_dir: Path, config: TrainConfig, *, resume: bool) -> None:
    if (run_dir / RUN_FILE).exists() and not resume:
        raise SpecError(f"{run_dir}: there is a run in this folder already: resume it, or name another folder")
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        write_atomically(run_dir / CONFIG_FILE, toml_text(config).encode())
    except OSError as error:
        raise SpecError(f"{run_dir}: the run's folder cannot be written: {error.strerror}") from None
