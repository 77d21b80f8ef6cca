"""Claim 11: do loss curves of models of any size, each over its own last loss, lie on one line where TPP and tau match?

TPP is tokens per parameter; tau, the timescale of AdamW's average as a fraction of the run, is
1 / (learning rate x weight decay x steps). Dense models of widths 32 and 64, two layers, bytes of Python source, one
seed. So small, they do not: the wider one learns for longer, by more than tau moves a curve.
"""

import sys
from tempfile import TemporaryDirectory

import msgspec
import numpy as np

from training.data import STDLIB, load_corpus
from training.trainer import train
from training.transfer_setup import transfer_setup
from wse_sim.workload.transformer import n_parameters

TAU = 0.25
tpp, n_eval_sequences = (0.5, 32) if "--quick" in sys.argv else (20.0, 256)
corpus = load_corpus(STDLIB)
fractions = np.linspace(0.2, 1.0, 5)  # of the run; before, curves are about the warm-up


def loss_curve(d_model: int, tau: float) -> np.ndarray:
    """Held-out losses at the fractions of a run, over its last one."""
    setup = transfer_setup(parametrization="mup", d_model=d_model, batch_size=16, seq_len=64)
    n_steps = round(tpp * n_parameters(setup.shape) / setup.tokens_per_step)
    config = msgspec.structs.replace(
        setup,
        n_steps=n_steps,
        weight_decay=1 / (setup.base.peak_lr * tau * n_steps),
        weight_decay_scaling="constant_lr_wd",  # so that every tensor of every width has this tau
        eval_interval=n_steps // 10,
        n_eval_sequences=n_eval_sequences,
    )
    with TemporaryDirectory() as folder:
        record = train(config, folder, corpus=corpus)
    rows = [row for row in record.rows if row.val_loss is not None]
    return np.interp(fractions, [row.step / n_steps for row in rows], [row.val_loss / record.val_loss for row in rows])


print(f"held-out loss over the last one, {tpp:g} tokens per parameter")
print("width    tau" + "".join(f"{f'at {fraction:.0%}':>9}" for fraction in fractions) + "  farthest from width 64")
widest = loss_curve(64, TAU)
for d_model, tau in ((64, TAU), (32, TAU), (32, TAU / 4), (32, TAU * 4)):
    curve = widest if d_model == 64 else loss_curve(d_model, tau)
    gap = np.abs(curve / widest - 1).max()
    print(f"{d_model:5} {tau:6g}" + "".join(f"{loss:9.3f}" for loss in curve) + f"{gap:20.1%}")
print("All losses are measured.")
print("Full test: wse-sim reproduce curve-collapse")
