"""The questions of the command line as functions: simulate, sweep into a table, compare, plan. Needs pandas.

As in a notebook: in one, each of these results shows itself as a table.
"""

import wse_sim

dense = wse_sim.simulate("13b", system="cs3", num_csx=4, batch_size=1080, tokens="257B")
sparse = wse_sim.simulate("13b", system="cs3", num_csx=4, batch_size=1080, tokens="257B", density=0.25)
for run in (dense, sparse):
    print(run)
print(f"density 0.25 is {sparse.speedup_vs_dense:.2f} times as fast; FLOPs would make it {sparse.ideal_speedup:.2f}")

sweep = wse_sim.sweep("13b", system="cs3", num_csx=[1, 4, 16], density=[1, 0.5, 0.25], batch_size=1120)
days = sweep.to_frame().assign(days=lambda of: of["run_time_s"] / 86_400)
print(f"\nDays on as many CS-3, {sweep.kind}:")
print(days.pivot(index="num_csx", columns="density", values="days").round(2).to_string())

comparison = wse_sim.compare("13b", system="cs3", num_csx=4, batch_size=1080, density=0.25, gpu="h100", num_gpus=64)
print(f"\n{comparison.headline}")

plan = wse_sim.plan("13b", deadline="10d", max_cost="200k", system="cs3", num_csx=[4, 8, 16], density=[1, 0.25])
print(f"\n{plan}")
