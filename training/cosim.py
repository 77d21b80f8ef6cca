"""Where the two halves meet: a real training run here beside the simulated run of the full-size model."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from training.corpus import corpus_of
from training.data import Corpus, require_enough, require_readable
from training.disk import require_room
from training.distributed import World, alone
from training.initial_weights import require_initial_weights
from training.job import Job, target_hyperparameters, write_job
from training.loggers import make_loggers
from training.masks_left import masks_left
from training.plan import Plan
from training.repetition import repetition_in_words, rise_in_words
from training.run_record import Row, RunRecord
from training.summary import HostMachine, Measured, Projected, RunChoice, Summary, Target, TargetHyperparameters
from training.trainer import train
from wse_sim import __version__
from wse_sim.files import write_json
from wse_sim.report import run_files
from wse_sim.report.layer_masks import LayerMask
from wse_sim.report.trace import STEADY_STEP, TraceExtent, require_trace, write_trace
from wse_sim.workload.transformer import n_parameters

OnStep = Callable[[Row], object]
_TOLD_TO_LOGGERS = ("step_time_s", "tokens_per_s", "mfu", "run_time_s", "energy_j", "cost_usd")


def run_plan(
    plan: Plan,
    run_dir: Path,
    *,
    command: str,
    on_step: OnStep | None = None,
    resume: bool = False,
    world: World | None = None,
    corpus: Corpus | None = None,
    log: Sequence[str] = (),
    trace: TraceExtent = STEADY_STEP,
    say: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Train what the plan chose, and fill the run's folder: the summary of it all, as `summary.json` has it.

    Parameters
    ----------
    world :
        The processes that do this together, all of them the same; None = this one alone.
    corpus :
        What the plan's configuration names, where it has been read already.
    log :
        Names of dashboards that follow the run, of `training.loggers.LOGGERS`.
    trace :
        What `trace.json` is to hold.
    say :
        Is told where to see what was logged, what failed to be, and what was left out of the trace.

    Raises
    ------
    SpecError, training.interrupt.Interrupted
        As `training.trainer.train`; SpecError when a dashboard's library is missing, or the trace cannot be made.
    """
    config = plan.choice.config
    loggers = make_loggers(log, summary=_known(plan), say=say)
    corpus = corpus or corpus_of(config)
    require_ready(plan, run_dir, corpus, trace)
    plan = plan.with_reasons(repetition_in_words(config, corpus))
    world = world or alone("cpu")
    if not resume:
        require_initial_weights(config)
        world.first_does(lambda: write_job(plan.job, run_dir))
    record = train(config, run_dir, on_step=on_step, resume=resume, clock=plan.clock, corpus=corpus, loggers=loggers)
    masks = masks_left(plan.wafer, run_dir, world)
    summary: dict[str, Any] = msgspec.to_builtins(summarize(plan, record, command, masks))

    def write() -> None:
        left_out = write_trace(plan.wafer, run_dir / run_files.TRACE, trace)
        if left_out and say is not None:
            say(f"note: {run_files.TRACE}: {left_out}")
        write_json(run_dir / run_files.SUMMARY, summary)
        _write_page(run_dir)

    world.first_does(write)
    return summary


def require_ready(plan: Plan, run_dir: Path, corpus: Corpus, trace: TraceExtent) -> None:
    """Make sure, before hours of training and before anything is written, that a run can be made and its trace drawn.

    Raises
    ------
    SpecError
        When the data are too small, the disk has no room for the checkpoints, or the trace cannot be made.
    """
    config = plan.choice.config
    require_trace(plan.wafer, trace)
    require_enough(corpus, seq_len=config.seq_len, batch_size=config.batch_size)
    require_readable(
        corpus, config.shape.vocab_size, seq_len=config.seq_len, batch_size=config.batch_size, seed=config.seed
    )
    require_room(config, run_dir)


def _write_page(folder: Path) -> None:
    from wse_sim.report.html import write_report  # Matplotlib takes a second, and who is refused waits for none

    write_report(folder)


def _known(plan: Plan) -> dict[str, float]:
    """What is simulated and projected of the target, by the names of dashboards."""
    sides = {"simulated": plan.wafer.result, "simulated_gpu": plan.gpu}
    simulated = {f"{side}/{name}": getattr(of, name) for side, of in sides.items() for name in _TOLD_TO_LOGGERS}
    loss = plan.projected
    return simulated | {
        "projected/loss": loss.value,
        "projected/loss_low": loss.low,
        "projected/loss_high": loss.high,
    }


def compare_runs(
    summaries: dict[str, dict[str, Any]], out_dir: Path, *, command: str, world: World | None = None
) -> dict[str, Any]:
    """Lay finished runs side by side, by the names of their folders in `out_dir`: `comparison.json` and its report."""
    world = world or alone("cpu")
    rows = [
        {
            "run": name,
            "density": summary["target"]["density"],
            "schedule": summary["target"]["schedule"],
            "summary": summary,
        }
        for name, summary in summaries.items()
    ]
    comparison = {"version": __version__, "command": command, "rows": rows}

    def write() -> None:
        write_json(out_dir / run_files.COMPARISON, comparison)
        _write_page(out_dir)

    world.first_does(write)
    return comparison


def summarize(plan: Plan, record: RunRecord, command: str, masks: Sequence[LayerMask] = ()) -> Summary:
    """The run in one table: what was measured here, with its `masks`, simulated, and projected."""
    dense = plan.projected_dense
    return Summary(
        version=__version__,
        command=command,
        target=_target(plan.job),
        choice=_choice(plan),
        measured=_measured(record),
        simulated=plan.wafer.result,
        simulated_gpu=plan.gpu,
        projected=Projected(
            **msgspec.structs.asdict(plan.projected),
            dense_value=dense.value,
            dense_low=dense.low,
            dense_high=dense.high,
            dense_law=dense.law,
        ),
        simulated_dense=msgspec.UNSET if plan.dense is plan.wafer else plan.dense.result,
        layer_masks=tuple(masks) or msgspec.UNSET,
    )


def _target(job: Job) -> Target:
    shape = job.preset.shape
    return Target(
        model=shape.name,
        n_layers=shape.n_layers,
        d_model=shape.d_model,
        n_heads=shape.n_heads,
        params=n_parameters(shape),
        density=job.density,
        sparsity_algorithm=job.algorithm_name,
        schedule=job.schedule,
        parametrization=job.parametrization,
        batch_size=job.batch_size,
        seq_len=job.seq_len,
        tokens=job.tokens,
        n_steps=job.tokens / (job.batch_size * job.seq_len),
        tokens_per_parameter=job.tokens_per_parameter,
        seed=job.seed,
        hyper_parameters=msgspec.convert(target_hyperparameters(job), TargetHyperparameters),
    )


def _choice(plan: Plan) -> RunChoice:
    profile, choice = plan.profile, plan.choice
    return RunChoice(
        mode=choice.mode,
        reasons=choice.reasons,
        not_covered=choice.not_covered,
        machine=HostMachine(
            cpu=profile.cpu,
            cores=profile.n_cpus,
            memory_bytes=profile.memory_bytes,
            matmul_flops_per_s=profile.matmul_flops_per_s,
            gpu=profile.gpu,
            torch_version=profile.torch_version,
            measured_at=profile.measured_at,
        ),
        n_threads=choice.config.n_threads,
        full_run_here_s=choice.full_run_s,
        full_run_here_bytes=choice.full_run_bytes,
        predicted_s=choice.predicted_s,
    )


def _measured(record: RunRecord) -> Measured:
    config = record.config
    return Measured(
        params=record.n_params,
        nonzero_params=record.n_nonzero_params,
        d_model=config.shape.d_model,
        n_layers=config.shape.n_layers,
        steps=config.n_steps,
        tokens=record.tokens,
        train_loss=record.train_loss,
        val_loss=record.val_loss,
        bits_per_byte=record.val_bits_per_byte,
        entropy_nats=record.entropy_nats,
        host_s=record.host_s,
        tokens_per_s=record.tokens / record.host_s,
        corpus=record.data,
        n_skipped=record.n_skipped,
        warnings=(*record.warnings, *rise_in_words(record.rows)),
    )
