"""Three engines, the SimPy reference among them, give the same picosecond for every task of a real step."""

from wse_sim.engine.des import run_des
from wse_sim.engine.max_plus import run_max_plus
from wse_sim.engine.reference import run_reference
from wse_sim.runs import resolve_run
from wse_sim.schedule.weight_streaming import plan_step
from wse_sim.spec.cluster import load_cluster
from wse_sim.spec.load import load_model

run = resolve_run(load_model("111m"), num_csx=3, batch_size=360, density=0.25)
program = plan_step(run, load_cluster(run.system, run.num_csx), n_tiles=12).program

reference = run_reference(program)
print(f"{program.n_tasks:,} tasks, last one finished at {reference.makespan_ps:,} ps")
for run_engine in (run_des, run_max_plus):
    print(f"{run_engine.__name__}: every finish time equal:", run_engine(program).same_times_as(reference))
