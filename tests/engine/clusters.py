"""Random runs on random clusters, from the model's shape to the step's program, small enough for SimPy to play."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
from hypothesis import reject
from hypothesis import strategies as st

from wse_sim.errors import SpecError
from wse_sim.runs import density_of_masks, resolve_run
from wse_sim.schedule.placement import place
from wse_sim.schedule.weight_streaming import StepPlan, plan_step, with_steps
from wse_sim.spec.cluster import SYSTEMS, Cluster, load_cluster
from wse_sim.spec.load import release_names
from wse_sim.spec.model import ModelPreset, ModelShape
from wse_sim.spec.run import MaskUpdates, Run
from wse_sim.wafer.masks import RunMasks
from wse_sim.workload.transformer import linear_matrices

# What a step's time falls with, and what it rises with; and what else of a cluster can be another number.
FASTER = (
    "memoryx.egress_bytes_per_s",
    "memoryx.ingress_bytes_per_s",
    "memoryx.optimizer_bytes_per_s",
    "swarmx.link_bytes_per_s",
    "swarmx.reduce_bytes_per_s",
    "csx.io_bytes_per_s",
    "csx.activation_link_bytes_per_s",
    "csx.input_tokens_per_s",
    "csx.clock_hz",
    "csx.attention_efficiency",
)
SLOWER = (
    "swarmx.hop_latency_s",
    "csx.layer_latency_s",
    "csx.unfilled_channels",
    "memoryx.update_bytes_per_weight",
    "memoryx.accumulate_bytes_per_weight",
    "csx.gradient_bytes",
)
_OTHERS = ("swarmx.buffer_layers", "csx.weight_buffer_layers", "csx.sums_per_cycle", "csx.row_issue_cycles")

Pick = Callable[[int, int], int]  # a whole number from one to the other, both included


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What a step is planned from.

    Parameters
    ----------
    constants :
        Of the cluster, where they are not as in the data.
    n_steps :
        That are simulated.
    tiles_per_server :
        Of a layer: few, so that SimPy has time for all.
    """

    run: Run
    masks: RunMasks | None
    constants: dict[str, float]
    is_mask_update: bool
    is_half_duplex: bool
    n_steps: int
    tiles_per_server: int

    def cluster(self) -> Cluster:
        return load_cluster(self.run.system, self.run.num_csx, self.constants)

    def plan(self, cluster: Cluster | None = None) -> StepPlan:
        """The step of the run, on its own cluster or on another.

        Raises
        ------
        SpecError
            When it does not fit.
        """
        cluster = cluster or self.cluster()
        n_tiles = int(cluster.memoryx.servers) * self.tiles_per_server
        plan = plan_step(self.run, cluster, masks=self.masks, is_mask_update=self.is_mask_update, n_tiles=n_tiles)
        program = with_steps(plan.program, self.run, self.n_steps)
        return replace(plan, program=replace(program, is_half_duplex=self.is_half_duplex))


@st.composite
def configurations(draw: st.DrawFn) -> Configuration:
    """As `random_configuration`, with its larger choices left to hypothesis; only what is no wrong input."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    try:
        return _configuration(lambda low, high: draw(st.integers(low, high)), rng)
    except SpecError:
        reject()


def random_configuration(seed: int) -> Configuration:
    """Any that a user could ask for, up to 4 layers; most run on up to 8 systems, one in 20 on up to 80.

    Raises
    ------
    SpecError
        When it is wrong, as one in 50 is: a batch that the systems do not divide.
    """
    rng = np.random.default_rng(seed)
    return _configuration(lambda low, high: int(rng.integers(low, high, endpoint=True)), rng)


def _configuration(pick: Pick, rng: np.random.Generator) -> Configuration:
    is_wide = pick(0, 19) == 7
    shape = _shape(pick, 1 if is_wide else 4)
    run = _run(pick, rng, shape, pick(9, 80) if is_wide else pick(1, 8), 1 if is_wide else 3)
    masks = None
    if run.density < 1 and run.mask_updates is None and pick(0, 2) == 0:
        masks = _masks(rng, run)
        run = density_of_masks(msgspec.structs.replace(run, density=1.0), masks)
    return Configuration(
        run=run,
        masks=masks,
        constants=_constants(pick, rng, run),
        is_mask_update=run.mask_updates is not None and bool(pick(0, 1)),
        is_half_duplex=pick(0, 3) == 0,
        n_steps=2 if is_wide else pick(2, 3),
        tiles_per_server=1 if is_wide else pick(1, 2),
    )


def _shape(pick: Pick, most_layers: int) -> ModelShape:
    n_heads = [1, 2, 3, 4, 6, 8, 16][pick(0, 6)]
    d_model = n_heads * 2 * pick(2, 64)
    divisors = [n for n in range(1, n_heads + 1) if n_heads % n == 0]
    return ModelShape(
        name="drawn",
        n_layers=pick(1, most_layers),
        d_model=d_model,
        n_heads=n_heads,
        n_kv_heads=[None, *divisors][pick(0, len(divisors))],
        d_ff=pick(1, 4 * d_model),
        vocab_size=pick(1, 60_000),
        seq_len=pick(1, 2048),
        feed_forward=("gelu", "gelu_tanh", "swiglu")[pick(0, 2)],
        norm=("layernorm", "rmsnorm")[pick(0, 1)],
        positions=("learned", "rotary", "alibi")[pick(0, 2)],
        is_tied=bool(pick(0, 1)),
        has_biases=bool(pick(0, 1)),
        logits_fraction=[1.0, 0.15][pick(0, 1)],
    )


def _run(pick: Pick, rng: np.random.Generator, shape: ModelShape, num_csx: int, most_microbatches: int) -> Run:
    microbatch, n_microbatches = pick(1, 64), pick(1, most_microbatches)
    is_wrong = pick(0, 49) == 7
    density = [1.0, 0.25, float(1 - rng.random()), float(10 ** rng.uniform(-3, 0))][pick(0, 3)]
    algorithm = ("set", "rigl", "gmp", "spdf")[pick(0, 3)]
    is_sparse_wide = density > 0.05 and pick(0, 9) == 0
    given: dict[str, Any] = {
        "system": SYSTEMS[pick(0, len(SYSTEMS) - 1)],
        "release": release_names()[pick(0, len(release_names()) - 1)],
        "seed": pick(0, 2**32 - 1),
        "density": density,
        "jitter": [0.0, 0.0, float(rng.random()), float(10 ** rng.uniform(-4, 1))][pick(0, 3)],
        "straggler": [1.0, 1.0, 1.0 + float(rng.random())][pick(0, 2)],
        "microbatch": microbatch if n_microbatches > 1 or pick(0, 1) else None,
        "mask_updates": MaskUpdates(algorithm=algorithm, every_steps=pick(1, 200)) if pick(0, 3) == 0 else None,
    }
    batch_size = num_csx * microbatch * n_microbatches + is_wrong
    seq_len = pick(1, shape.seq_len) if pick(0, 2) else shape.seq_len
    n_steps = float(10 ** rng.uniform(0, 6))
    return resolve_run(
        ModelPreset(shape=shape),
        num_csx=num_csx,
        batch_size=batch_size,
        seq_len=seq_len,
        tokens=n_steps * batch_size * seq_len,
        is_sparse_wide=is_sparse_wide,
        **given,
    )


def _masks(rng: np.random.Generator, run: Run) -> RunMasks:
    """Of a small model that was trained, with some channels fuller than others."""
    names = [matrix.name for matrix in linear_matrices(run.shape)]
    is_small = run.shape.d_model * max(run.shape.d_model, run.shape.d_ff) < 2**18 and rng.random() < 0.5
    shapes = {m.name: (m.n_out, m.n_in) if is_small else (48, 32) for m in linear_matrices(run.shape)}

    def mask(n_out: int, n_in: int) -> np.ndarray:
        uneven = rng.gamma(4.0, 0.25, (n_out, 1)) * rng.gamma(4.0, 0.25, (1, n_in))
        drawn = rng.random((n_out, n_in)) < run.density * uneven
        drawn[rng.integers(n_out), rng.integers(n_in)] = True  # no mask is empty
        return drawn

    blocks = tuple({name: mask(*shapes[name]) for name in names} for _ in range(int(rng.integers(1, 4))))
    return RunMasks(step=100, blocks=blocks)


def _constants(pick: Pick, rng: np.random.Generator, run: Run) -> dict[str, float]:
    """MemoryX with few servers, and half of the time up to six constants up to a hundred times as large or small."""
    constants: dict[str, float] = {"memoryx.servers": pick(1, 4), "swarmx.fan_out": pick(2, 5)}
    known = load_cluster(run.system, 1).constants
    for _ in range(pick(1, 6) if pick(0, 1) else 0):
        name = str(rng.choice([*FASTER, *SLOWER, *_OTHERS]))
        value = known[name].value * float(10 ** rng.uniform(-2, 2))
        constants[name] = min(value, 1.0) if name.endswith("efficiency") else value
    if pick(0, 2) == 1:
        constants["csx.sram_bytes"] = _for_some_blocks(rng, run, constants)
    if pick(0, 99) == 7:
        constants["memoryx.capacity_bytes"] = float(10 ** rng.uniform(3, 9))
    return constants


def _for_some_blocks(rng: np.random.Generator, run: Run, constants: dict[str, float]) -> float:
    """On-wafer memory for one layer in training, mostly, and the activations of some of the blocks."""
    csx = load_cluster(run.system, run.num_csx, constants).csx
    needed = place(run.shape, csx, seq_len=run.seq_len, microbatch=run.microbatch or run.batch_per_csx)
    n_blocks = float(rng.uniform(-0.05, run.shape.n_layers))
    return needed.working_bytes + max(n_blocks * needed.block_bytes, -0.5 * needed.working_bytes)
