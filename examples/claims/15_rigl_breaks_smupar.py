"""Claim 15: SμPar is made for static masks; where RigL moves them, it corrects too much and the best rate falls.

Two layers of width 128, 150 steps of 4 x 32 bytes of Python source, one seed: at best it shows the direction, by less
than a step of the grid.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from training.transfer import make_study, run_study
from training.transfer_setup import transfer_setup
from wse_sim.cli.progress import progress
from wse_sim.spec.sparsity import make_algorithm

is_quick = "--quick" in sys.argv
size = {"d_model": 64, "n_steps": 40, "n_eval_sequences": 32} if is_quick else {"d_model": 128, "n_steps": 150}
log2_lrs = {"smupar": tuple(float(octave) for octave in range(-9, -4))}
# Every tenth of the run, RigL drops the smallest live weights and grows as many where the gradient is largest.
masks = {"static": make_algorithm("static"), "rigl": make_algorithm("rigl", update_freq=size["n_steps"] // 10)}

print("masks   density  best base rate  drift, octaves  loss, nats/byte")
for name in ("rigl",) if is_quick else masks:
    setup = transfer_setup(seq_len=32, batch_size=4, sparsity=masks[name], **size)
    extend = 0 if is_quick else 4
    study = make_study("density", (1, 1 / 16), ("smupar",), setup, log2_lrs=log2_lrs, n_seeds=1, extend=extend)
    with TemporaryDirectory() as folder, progress() as watch:
        result = run_study(study, Path(folder), watch=watch)[0]
    for at in result.values:
        print(f"{name:6} {at.value:8g} {f'2^{at.best_log2_lr:g}':>15} {at.drift.value:+15.2f} {at.best_loss:16.3f}")
print("Losses are measured, on held-out bytes; a drift is the way from the optimum of the first density.")
print("Full test: wse-sim reproduce rigl-breaks-smupar")
