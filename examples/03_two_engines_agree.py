"""The compiled engine and the SimPy reference give the same picosecond for every task of a real step."""

from wse_sim.engine.des import run_des
from wse_sim.engine.reference import run_reference
from wse_sim.schedule.weight_streaming import plan_step
from wse_sim.simulate import resolve_run
from wse_sim.spec.cluster import load_cluster
from wse_sim.spec.load import load_model

run = resolve_run(load_model("111m"), num_csx=3, batch_size=360, density=0.25)
program = plan_step(run, load_cluster(run.system, run.num_csx), n_tiles=4).program

compiled, reference = run_des(program), run_reference(program)
print(f"{program.n_tasks:,} tasks, last one finished at {compiled.makespan_ps:,} ps")
print("every finish time equal:", compiled.same_times_as(reference))
