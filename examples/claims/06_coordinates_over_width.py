"""Claim 6: do activations keep their size at every width while training takes its first steps?

Dense models of two layers and widths 64 to 512, ten steps on bytes of Python source, one seed. A slope of 1 means
activations twice as large at twice the width. The full test has a learning rate of 0.01, at which single seeds scatter.
"""

import sys

from training.coord_check import CoordCheck, check_coordinates
from training.coord_slopes import slopes
from training.data import STDLIB, load_corpus

setup = CoordCheck(over="width", values=(64, 128, 256, 512), n_seeds=1, peak_lr=2e-3)
if "--quick" in sys.argv:
    setup = CoordCheck(over="width", values=(64, 256), n_seeds=1, n_steps=3, seq_len=32, peak_lr=2e-3)
corpus = load_corpus(STDLIB)

print("slope of log(mean |activation|) against log(width); step 1 is before the first update")
print(f"{'parameterization':16} {'after':10} {'step':>4} {'slope':>6}")
for name in ("sp", "mup"):
    for found in slopes(check_coordinates(corpus, name, setup), setup.over):
        if found.site in ("attention", "mlp") and found.quantity == "size" and found.step in (1, setup.n_steps):
            moves = "grows with width" if found.slope.value > 0 else "shrinks as width rises"
            size = "keeps its size" if found.is_flat() else moves
            print(f"{name:16} {found.site:10} {found.step:4} {found.slope.value:+6.2f} {size}")
print("Slopes are measured.")
print("Full test: wse-sim reproduce coordinates-over-width")
