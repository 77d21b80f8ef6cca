"""What does a published run do on a wafer-scale cluster, dense and at a quarter of the weights?"""

from dataclasses import asdict

from wse_sim.runs import resolve_run
from wse_sim.simulation import simulate
from wse_sim.spec.load import load_model

preset = load_model("2.7b")  # Cerebras-GPT 2.7B with its recipe: 528 x 2048 tokens a step, 4 CS-2

for density in (1.0, 0.25):
    result = simulate(resolve_run(preset, density=density)).result
    days = result.run_time_s / 86_400
    print(f"density {density:g}: {result.step_time_s:.3f} s a step, {days:.2f} days, {result.bottleneck}")
    for part, fraction in asdict(result)["breakdown"].items():
        print(f"  {part:16} {fraction:6.1%}")
