"""Claim 16: which loss does a sparse model buy in the time of the dense one, on wafers and on GPUs?

Simulated: the time of Cerebras-GPT 2.7B on both machines, at each density. Measured: the loss of a proxy of two layers
and width 64, one seed, trained for as many tokens per parameter (TPP) as that time buys. At density 1/8 its neurons
have 8 live weights where those of the full-size model have 320: sparsity costs it more than it need cost the full size.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from training.config import TrainConfig
from training.grid import Point, run_points
from training.proxy import BATCH_SIZE, SEQ_LEN, proxy_shape
from wse_sim.cli.progress import progress
from wse_sim.gpu.roofline import simulate_gpu
from wse_sim.runs import resolve_run
from wse_sim.simulation import simulate
from wse_sim.spec.load import load_model
from wse_sim.units import S_PER_DAY
from wse_sim.workload.transformer import n_parameters

DENSITIES = (1.0, 0.5, 0.25, 0.125)
d_model, dense_tpp = (32, 0.5) if "--quick" in sys.argv else (64, 10.0)
preset = load_model("2.7b")
run = resolve_run(preset)  # as published: 20 TPP on four CS-2
shape, tokens_per_step = proxy_shape(preset.shape, d_model), BATCH_SIZE * SEQ_LEN

# The wafers skip zeros, the GPUs do not.
gpus = {"gpu": "h100", "num_gpus": 32, "batch_size": run.batch_size, "tokens": run.tokens}
run_s = {("4 CS-2", density): simulate(resolve_run(preset, density=density)).result.run_time_s for density in DENSITIES}
run_s |= {("32 H100", density): simulate_gpu(run.shape, density=density, **gpus).run_time_s for density in DENSITIES}

points = []
for (machine, density), seconds in run_s.items():
    faster = run_s[machine, 1.0] / seconds
    n_steps = round(dense_tpp * faster * n_parameters(shape) / tokens_per_step)
    size = {"n_steps": n_steps, "batch_size": BATCH_SIZE, "seq_len": SEQ_LEN, "eval_interval": n_steps}
    config = TrainConfig(shape=shape, density=density, weight_decay_scaling="constant_lr_wd", **size)
    points.append(Point({"machine": machine, "density": density, "faster": faster}, config))
with TemporaryDirectory() as folder, progress() as watch:
    outcomes = run_points(points, Path(folder), watch=watch)

print("machine   density  days for 20 TPP  times faster  TPP in equal time  loss, nats/byte")
for outcome in outcomes:
    machine, density, faster = outcome.key.values()
    days = run_s[machine, density] / S_PER_DAY
    print(f"{machine:8} {density:8g} {days:16.3f} {faster:13.2f} {dense_tpp * faster:18.2f} {outcome.val_loss:16.4f}")
print("Days are simulated, of the full-size model; losses are measured, of the proxy.")
print("Full test: wse-sim reproduce frontier")
