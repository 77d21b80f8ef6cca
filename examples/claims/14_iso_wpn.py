"""Claim 14: standard parameterization transfers its learning rate where every neuron keeps as many live weights.

From width 64, dense, to width 256 at density 1/4; as a control, to width 256, dense. Two layers, 150 steps of 4 x 32
bytes of Python source, one seed: enough to see where the best rate lies, not how good the models get.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from models.parametrization import BASES
from training.transfer import make_study, run_study
from training.transfer_setup import transfer_setup
from wse_sim.cli.progress import progress

is_quick = "--quick" in sys.argv
widths, n_steps, n_eval_sequences = ((32, 128), 40, 32) if is_quick else ((64, 256), 150, 256)
setup = transfer_setup(d_model=widths[0], n_steps=n_steps, seq_len=32, batch_size=4, n_eval_sequences=n_eval_sequences)
log2_lrs = {"sp": tuple(float(octave) for octave in range(-9, -4))}
made = make_study("width", widths, ("sp",), setup, log2_lrs=log2_lrs, n_seeds=1, extend=0 if is_quick else 4)
# The paper's models start from one standard deviation at every width: that of the other parameterizations.
base = msgspec.structs.replace(BASES["bytes-64-sp"], init_std=BASES["smupar-paper"].init_std)

print("weights/neuron  width  density  best rate  drift, octaves  loss, nats/byte")
for is_iso_wpn in (True,) if is_quick else (True, False):
    study = msgspec.structs.replace(made, bases={"sp": base}, is_iso_wpn=is_iso_wpn)
    with TemporaryDirectory() as folder, progress() as watch:
        result = run_study(study, Path(folder), watch=watch)[0]
    for at in result.values:
        density = widths[0] / at.value if is_iso_wpn else 1.0
        print(f"{at.value * density:14g} {at.value:6g} {density:8g} {f'2^{at.best_log2_lr:g}':>10}", end=" ")
        print(f"{at.drift.value:+15.2f} {at.best_loss:16.3f}")
    print(f"  {result.verdict}: {result.reason}")
print("Losses are measured, on held-out bytes; a drift is the way from the optimum of the narrow model.")
print("Full test: wse-sim reproduce iso-wpn")
