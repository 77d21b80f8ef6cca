"""Claim 5: do activations keep their size at every density while training takes its first steps?

Two layers of width 256 and ten steps on bytes of Python source, one seed: the paper's Figure 5 in small. A slope of 1
means activations half as large at half the density.
"""

import sys

from training.coord_check import CoordCheck, check_coordinates
from training.coord_slopes import slopes
from training.data import STDLIB, load_corpus

setup = CoordCheck(over="density", values=(1, 1 / 2, 1 / 4, 1 / 8, 1 / 16), n_seeds=1, peak_lr=1e-2)
if "--quick" in sys.argv:
    setup = CoordCheck(over="density", values=(1, 1 / 4), n_seeds=1, n_steps=3, d_model=128, seq_len=32, peak_lr=1e-2)
corpus = load_corpus(STDLIB)

print("slope of log(mean |activation|) against log(density); step 1 is before the first update")
print(f"{'parameterization':16} {'after':10} {'step':>4} {'slope':>6}")
for name in ("sp", "mup", "smupar"):
    for found in slopes(check_coordinates(corpus, name, setup), setup.over):
        if found.site in ("attention", "mlp") and found.quantity == "size" and found.step in (1, setup.n_steps):
            moves = "shrinks with density" if found.slope.value > 0 else "grows as density falls"
            size = "keeps its size" if found.is_flat() else moves
            print(f"{name:16} {found.site:10} {found.step:4} {found.slope.value:+6.2f} {size}")
print("Slopes are measured.")
print("Full test: wse-sim reproduce coordinates-over-density")
