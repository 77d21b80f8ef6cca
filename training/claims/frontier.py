"""Claim 16, this project's own: what loss a density and a schedule buy for wafer time, for GPU time, and for energy.

A narrow model trains here, in place of Cerebras-GPT 2.7B, at several densities, schedules and lengths. The full-size
run of the same density and the same tokens per parameter is simulated on both machines. So a loss is measured, of the
proxy; a time and an energy are simulated, of the full size.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from models.parametrization import BASES
from training.claims.claim import Claim, Finding, Setting
from training.claims.frontier_answer import answer
from training.claims.frontier_ways import Losses, Machine
from training.config import TrainConfig
from training.grid import Outcome, Point, run_points
from training.proxy import BATCH_SIZE, SEQ_LEN, proxy_shape
from wse_sim.gpu.roofline import simulate_gpu
from wse_sim.runs import resolve_run
from wse_sim.simulation import simulate
from wse_sim.spec.load import load_model
from wse_sim.workload.transformer import n_parameters

TARGET: Final = "2.7b"
NUM_CSX: Final = 4
NUM_GPUS: Final = 8 * NUM_CSX
_SYSTEM, _GPU = "cs2", "h100"


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """What is trained.

    Parameters
    ----------
    densities :
        The first is the one that the others are held against.
    tokens_per_parameter :
        Lengths of the runs, rising; zeros and embeddings count as parameters, so that all densities see the same text.
    """

    d_model: int = 64
    densities: tuple[float, ...] = (1.0, 0.5, 0.25, 0.125)
    schedules: tuple[str, ...] = ("linear", "cosine_10x")
    tokens_per_parameter: tuple[float, ...] = (5.0, 10.0, 20.0)
    n_eval_sequences: int = 256


FULL = Experiment()
SMOKE = Experiment(d_model=32, densities=(1.0, 0.25), tokens_per_parameter=(0.5, 1.0, 2.0), n_eval_sequences=8)


def find(setting: Setting) -> Finding:
    """Train the proxies, simulate the full-size runs, and say which pays."""
    experiment = SMOKE if setting.is_smoke else FULL
    asked = points(experiment, n_seeds=1 if setting.is_smoke else setting.n_seeds)
    outcomes = run_points(asked, setting.out, n_workers=setting.n_workers, watch=setting.watch)
    return answer(
        losses_of(outcomes), [wafers(experiment.densities), gpus(experiment.densities)], asked[0].config, setting
    )


def points(experiment: Experiment, n_seeds: int) -> list[Point]:
    """One run for each density, schedule, length and seed."""
    return [
        Point(
            {"density": density, "schedule": schedule, "tpp": tpp, "seed": seed},
            _config(experiment, density=density, schedule=schedule, tpp=tpp, seed=seed),
        )
        for density in experiment.densities
        for schedule in experiment.schedules
        for tpp in experiment.tokens_per_parameter
        for seed in range(n_seeds)
    ]


def losses_of(outcomes: Sequence[Outcome]) -> Losses:
    """The held-out losses by what was trained."""
    losses: dict[tuple[float, str, float], dict[int, float]] = defaultdict(dict)
    for outcome in outcomes:
        key = outcome.key
        run = float(key["density"]), str(key["schedule"]), float(key["tpp"])
        losses[run][int(key["seed"])] = np.inf if outcome.val_loss is None else outcome.val_loss
    return dict(losses)


def wafers(densities: Sequence[float]) -> Machine:
    """The wafer-scale cluster: a step takes less time the fewer weights are left."""
    preset = load_model(TARGET)
    results = {
        density: simulate(resolve_run(preset, system=_SYSTEM, num_csx=NUM_CSX, density=density)).result
        for density in densities
    }
    first = results[densities[0]]
    return Machine(
        name=f"{NUM_CSX} {_SYSTEM.upper().replace('CS', 'CS-')}",
        s_per_tpp={density: found.run_time_s * found.params / found.tokens for density, found in results.items()},
        power_w=first.energy_j / first.run_time_s,
        assumed=tuple(first.assumed),
    )


def gpus(densities: Sequence[float]) -> Machine:
    """The GPUs: a step takes the same time at any density."""
    preset = load_model(TARGET)
    run = resolve_run(preset, num_csx=NUM_CSX)
    results = {
        density: simulate_gpu(
            run.shape, gpu=_GPU, num_gpus=NUM_GPUS, batch_size=run.batch_size, density=density, tokens=run.tokens
        )
        for density in densities
    }
    first = results[densities[0]]
    n_params = n_parameters(run.shape)
    return Machine(
        name=f"{NUM_GPUS} {_GPU.upper()}",
        s_per_tpp={density: found.run_time_s * n_params / run.tokens for density, found in results.items()},
        power_w=first.energy_j / first.run_time_s,
        assumed=first.assumed,
    )


def _config(experiment: Experiment, *, density: float, schedule: str, tpp: float, seed: int) -> TrainConfig:
    """As `wse-sim train` would choose its proxy, but of one width for all."""
    shape = proxy_shape(load_model(TARGET).shape, experiment.d_model)
    n_steps = max(2, round(tpp * n_parameters(shape) / (BATCH_SIZE * SEQ_LEN)))
    return TrainConfig(
        shape=msgspec.structs.replace(shape, name=f"{TARGET}-proxy-{experiment.d_model}"),
        base=BASES["bytes-64"],
        parametrization="smupar",
        weight_decay_scaling="constant_lr_wd",
        density=density,
        schedule=schedule,
        seed=seed,
        n_steps=n_steps,
        batch_size=BATCH_SIZE,
        seq_len=SEQ_LEN,
        eval_interval=n_steps,
        log_interval=max(1, n_steps // 200),
        n_eval_sequences=experiment.n_eval_sequences,
    )


FRONTIER = Claim(
    number=16,
    name="frontier",
    title="Loss against simulated wafer time, GPU time and energy",
    statement="A static sparse model reaches a lower loss than the dense one in the same time on wafers, which skip "
    "zeros, and not on GPUs, which do not.",
    source="this project; the question behind SPDF (arXiv 2303.10464) and SμPar (arXiv 2405.15743), who compare at "
    "equal FLOPs or equal tokens, not at equal time",
    accepted_if="at the longest simulated wafer time that both have, some density below 1 has a lower loss than "
    "density 1 with the same schedule, and at the longest GPU time none has; intervals over seeds decide",
    needs_training=True,
    find=find,
)
