"""What each process does in `test_torchrun.py`; some of it can be done without `torchrun`, to be compared with.

Started with a folder: runs go there, and `told-R.json` with what process R saw of them.
"""

import signal
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from shutil import copytree
from typing import Any

import msgspec
import torch.distributed

from models.targets import NOT_COUNTED
from tests.cli.documents import call
from tests.conftest import TINY
from tests.training.poisoned import Poison
from tests.undrawn import undrawn_pages
from training.config import TrainConfig
from training.data import Corpus, TrainOrder, load_corpus
from training.dense import DenseExecutor
from training.deterministic import deterministic
from training.distributed import World, joined
from training.execution import Execution, Sharding
from training.interrupt import Interrupted
from training.loggers import make_loggers
from training.run_record import Row
from training.trainer import train
from wse_sim.errors import SpecError
from wse_sim.spec.model import ModelShape
from wse_sim.spec.sparsity import SET, Algorithm, RigL, Static, Update

GPT_2 = ModelShape(name="tiny", n_layers=2, d_model=32, n_heads=1, d_ff=128, vocab_size=256, seq_len=32)
# Of 259 rows, and of 3 x 16 of queries, keys and values, two processes have pieces of different height.
LLAMA = msgspec.structs.replace(
    GPT_2,
    name="llama",
    n_heads=2,
    n_kv_heads=1,
    d_ff=85,
    vocab_size=259,
    positions="rotary",
    norm="rmsnorm",
    feed_forward="swiglu",
    has_biases=False,
    is_tied=False,
)
N_STEPS = 12
STOPPED_AFTER = 7
CONFIG = TrainConfig(
    shape=GPT_2,
    density=0.25,
    clip=0.5,
    n_steps=N_STEPS,
    batch_size=8,
    seq_len=32,
    eval_interval=5,
    n_eval_sequences=16,
    log_interval=1,
    checkpoint_interval=5,
    data="markov",
)


def config_of(sharding: Sharding, algorithm: Algorithm, **execution: Any) -> TrainConfig:
    return msgspec.structs.replace(CONFIG, sparsity=algorithm, execution=Execution(sharding=sharding, **execution))


CONFIGS = {
    "ddp, static": config_of("ddp", Static()),
    "ddp, rigl, micro-batches": config_of("ddp", RigL(update=Update(freq=4)), microbatch=4),
    "ddp, set": config_of("ddp", SET(update=Update(freq=4))),
    "fsdp, static": msgspec.structs.replace(config_of("fsdp", Static()), clip="none"),
    "fsdp, rigl, micro-batches": config_of("fsdp", RigL(update=Update(freq=4)), microbatch=4),
    "fsdp, set, llama, recomputed": msgspec.structs.replace(
        config_of("fsdp", SET(update=Update(freq=4)), recompute="always"), shape=LLAMA
    ),
}
COMMAND = (
    *("--density", "0.25", "--batch-size", "4", "--tokens", "1e6", "--data", "markov"),
    *("--mode", "dense", "--steps", "10", "--precision", "fp32"),
)
MASKED = ("ddp, rigl, micro-batches", "fsdp, static")
POISONED = ("ddp, rigl, micro-batches", "fsdp, rigl, micro-batches")
BAD_STEPS = (3, 4, 9)  # from 0; RigL's masks change after the first of them


def steps(
    config: TrainConfig,
    corpus: Corpus,
    world: World | None = None,
    *,
    is_masked: bool = False,
    is_poisoned: bool = False,
) -> dict[str, Any]:
    """What the steps of a run tell, and digests of its masks after them.

    Parameters
    ----------
    is_masked :
        Of each batch, only targets that one process has a few of, and the other many, count.
    is_poisoned :
        The loss that the last process has of its share is NaN in some steps.
    """
    with deterministic(config.n_threads):
        executor = DenseExecutor(config, None, world)
        order = TrainOrder(corpus.train, config.seq_len, config.seed)
        batches = [order.batch(step * config.batch_size, config.batch_size) for step in range(config.n_steps)]
        if is_masked:
            for _, targets_BT in batches:
                targets_BT[: len(targets_BT) // 2, 3:] = NOT_COUNTED
        poison = Poison(executor.model.norm_out)
        is_last, stepped = world is None or world.rank == world.size - 1, []
        for step, batch in enumerate(batches):
            poison.is_on = is_poisoned and is_last and step in BAD_STEPS
            stepped.append(executor.step(batch, step))
        updater = executor.mask_updater
        return {
            "loss": [each.loss if each.is_finite else None for each in stepped],
            "grad_norm": [each.grad_norm if each.is_finite else None for each in stepped],
            "val_loss": executor.evaluate(batches[:1]),
            "masks": {name: sha256(executor.masks.mask(name).numpy()).hexdigest() for name in executor.masks},
            "ever_live": {name: sha256(bits).hexdigest() for name, bits in updater.ever_live.items()},
            "n_params": [executor.n_params, executor.n_nonzero_params],
        }


def interrupted(config: TrainConfig, folder: Path, corpus: Corpus, world: World) -> dict[str, Any]:
    """A run in one go, and one that the last process asks to stop, that is copied, and that goes on."""
    # Only the first process writes: the others are given a folder that must not come to be.
    to, loggers = folder / ("whole" if world.is_first else "of-others"), make_loggers(["tensorboard"])
    whole = train(config, to, corpus=corpus, loggers=loggers)

    def stop(row: Row) -> None:
        if row.step == STOPPED_AFTER and world.rank == world.size - 1:
            signal.raise_signal(signal.SIGINT)

    stopped_after = 0
    try:
        train(config, folder / "broken", corpus=corpus, on_step=stop)
    except Interrupted as stopped:
        stopped_after = stopped.step
    world.first_does(lambda: copytree(folder / "broken", folder / "copy"))
    resumed = train(config, folder / "broken", corpus=corpus, resume=True)
    rows = {"whole": computed(whole.rows), "resumed": computed(resumed.rows)}
    return {"stopped_after": stopped_after, **rows}


def computed(rows: tuple[Row, ...]) -> list[dict[str, Any]]:
    """Rows without what a clock measured."""
    return [{key: value for key, value in msgspec.structs.asdict(row).items() if key != "host_s"} for row in rows]


def refusals(folder: Path, corpus: Corpus, world: World) -> dict[str, str]:
    """What is said where a run cannot be."""
    replace = msgspec.structs.replace
    short = replace(config_of("fsdp", Static()), n_steps=2)
    blocked = folder / "blocked"
    world.first_does(lambda: (blocked.mkdir(), (blocked / "checkpoints").write_text("in the way")))
    attempts = {
        "batch_size": (replace(short, batch_size=5), folder / "batch"),
        "microbatch": (replace(short, execution=Execution(microbatch=1)), folder / "microbatch"),
        "streaming": (replace(short, execution=Execution(executor="streaming")), folder / "streaming"),
        "another seed": (replace(short, seed=world.rank), folder / "seed"),
        "no room to save": (short, blocked),
        "run there": (short, blocked),
    }
    return {name: said(lambda c=config, f=to: train(c, f, corpus=corpus)) for name, (config, to) in attempts.items()}


def command(folder: Path, world: World) -> dict[str, Any]:
    """What the command prints, in each process."""
    model = folder / "tiny.toml"
    world.first_does(lambda: model.write_text(TINY, encoding="utf-8"))
    with undrawn_pages():
        result = call("train", "--model", str(model), *COMMAND, "--out", str(folder / "command"), "--json")
    return {"exit_code": result.exit_code, "stdout": result.stdout, "stderr": result.stderr}


def said(action: Callable[[], object]) -> str:
    try:
        action()
    except SpecError as error:
        return str(error)
    return ""


def main(folder: Path) -> None:
    corpus = load_corpus("markov")
    with joined("cpu") as world:
        told = {
            "rank": world.rank,
            "size": world.size,
            "mean": world.mean(float(world.rank)),
            "any": [world.any(False), world.any(world.rank == 1)],
            "steps": {name: steps(config, corpus, world) for name, config in CONFIGS.items()},
            "masked": {name: steps(CONFIGS[name], corpus, world, is_masked=True) for name in MASKED},
            "poisoned": {name: steps(CONFIGS[name], corpus, world, is_poisoned=True) for name in POISONED},
            "interrupted": {
                sharding: interrupted(CONFIGS[f"{sharding}, rigl, micro-batches"], folder / sharding, corpus, world)
                for sharding in ("ddp", "fsdp")
            },
            "refusals": refusals(folder, corpus, world),
            "command": command(folder, world),
        }
    told["is_left"] = not torch.distributed.is_initialized()
    (folder / f"told-{told['rank']}.json").write_bytes(msgspec.json.encode(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
