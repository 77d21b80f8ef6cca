"""Speed-up over dense against the ideal, by model and density: wide models come near it, narrow ones fall away."""

from wse_sim.runs import resolve_run
from wse_sim.simulation import simulate
from wse_sim.spec.load import load_model

DENSITIES = (0.5, 0.25, 0.125, 0.0625)

print("model   " + "".join(f"  density {density:<7g}" for density in DENSITIES))
for name in ("111m", "590m", "2.7b", "13b"):
    cells = []
    for density in DENSITIES:
        result = simulate(resolve_run(load_model(name), density=density)).result
        cells.append(f"{result.speedup_vs_dense:5.2f} of {result.ideal_speedup:5.2f}  ")
    print(f"{name:8}  " + "  ".join(cells))
