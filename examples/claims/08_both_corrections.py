"""Claim 8: SμPar corrects initial weights and learning rate for density; is either correction alone enough?

Two layers of width 128, 150 steps of 4 x 32 bytes of Python source, one seed. In so short a run the rate's correction
alone keeps the best rate in place, and what it lacks shows in the loss; the weights' correction alone does not keep it.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from training.transfer import make_study, run_study
from training.transfer_setup import transfer_setup
from wse_sim.cli.progress import progress

is_quick = "--quick" in sys.argv
size = {"d_model": 64, "n_steps": 25, "n_eval_sequences": 32} if is_quick else {"d_model": 128, "n_steps": 150}
setup = transfer_setup(seq_len=32, batch_size=4, **size)
names = ("smupar", "smupar_init_only", "smupar_lr_only")
log2_lrs = dict.fromkeys(names, tuple(float(octave) for octave in range(-8, -3)))
study = make_study("density", (1, 1 / 16), names, setup, log2_lrs=log2_lrs, n_seeds=1, extend=0 if is_quick else 4)

with TemporaryDirectory() as folder, progress() as watch:
    results = run_study(study, Path(folder), watch=watch)

print(f"{'parameterization':16} {'density':>8} {'best base rate':>15} {'drift, octaves':>15} {'loss, nats/byte':>16}")
for of_name in results:
    for at in of_name.values:
        where = f"{of_name.parametrization:16} {at.value:8g} {f'2^{at.best_log2_lr:g}':>15}"
        print(f"{where} {at.drift.value:+15.2f} {at.best_loss:16.3f}")
    print(f"  {of_name.verdict}: {of_name.reason}")
print("Losses are measured, on held-out bytes; a drift is the way from the optimum of the first density.")
print("Full test: wse-sim reproduce both-corrections")
