"""The streaming executor trains what the dense one trains, in a fraction of the memory.

With two folders of runs and the name of a figure it draws their losses instead:
`python examples/04_train_only_the_nonzeros.py FULL DENSE losses.svg`.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from training.config import TrainConfig
from training.execution import Execution
from training.memory import memory_need
from training.run_record import RUN_FILE, read_rows
from training.trainer import train
from wse_sim.report.curves import Curve, Panel, write_curves
from wse_sim.spec.load import load_model
from wse_sim.spec.model import ModelShape
from wse_sim.spec.sparsity import RigL, Update

SHAPE = ModelShape(name="bytes-64", n_layers=2, d_model=64, n_heads=2, d_ff=256, vocab_size=256, seq_len=64)
CONFIG = TrainConfig(
    shape=SHAPE,
    density=0.25,
    sparsity=RigL(update=Update(freq=5)),
    n_steps=30,
    batch_size=8,
    seq_len=64,
    log_interval=1,
    data="markov",
)
EXECUTORS = {"dense": Execution(), "streaming": Execution(executor="streaming", microbatch=2)}


def main() -> None:
    with TemporaryDirectory() as folder:
        losses = {}
        for name, execution in EXECUTORS.items():
            record = train(msgspec.structs.replace(CONFIG, execution=execution), Path(folder) / name)
            losses[name] = [row.loss for row in record.rows]
            print(f"{name:>9}: loss {losses[name][0]:.6f} ... {losses[name][-1]:.6f} nats per byte")
    difference = max(abs(a - b) for a, b in zip(*losses.values(), strict=True))
    print(f"largest difference in {CONFIG.n_steps} steps of RigL: {difference:.1e}")
    large = TrainConfig(shape=load_model("2.7b").shape, density=0.25, n_steps=3, batch_size=1, seq_len=128, clip="none")
    for name in EXECUTORS:
        how = Execution(executor=name, precision="bf16")  # type: ignore[arg-type]
        n_bytes = memory_need(msgspec.structs.replace(large, execution=how)).n_bytes
        print(f"{name:>9}: Cerebras-GPT 2.7B at density 0.25 needs {n_bytes / 1e9:.1f} GB of memory")


def draw(full: Path, dense: Path, figure: Path) -> None:
    """Training and held-out losses of two runs, and how far they are apart."""
    runs = {"streaming": read_rows(full / RUN_FILE), "dense": read_rows(dense / RUN_FILE)}
    losses = [
        Curve(label=name, x=[row.step for row in rows], y=[row.loss for row in rows], is_dashed=name == "dense")
        for name, rows in runs.items()
    ]
    held_out = [
        Curve(
            label=name,
            x=[row.step for row in rows if row.val_loss is not None],
            y=[row.val_loss for row in rows if row.val_loss is not None],
            is_marked=True,
            is_dashed=name == "dense",
        )
        for name, rows in runs.items()
    ]
    labels = {"x_label": "optimizer step", "y_label": "nats per byte"}
    write_curves(
        [Panel(title="training loss", curves=losses, **labels), Panel(title="held out", curves=held_out, **labels)],
        figure,
    )


if __name__ == "__main__":
    if len(sys.argv) == 4:
        draw(*map(Path, sys.argv[1:]))
    else:
        main()
