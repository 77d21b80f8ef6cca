"""What a step time means, worked by hand."""

import pytest

from wse_sim.report.step_figures import figures
from wse_sim.simulation import simulate
from wse_sim.spec.cluster import load_cluster
from wse_sim.spec.economics import load_economics
from wse_sim.spec.load import load_model
from wse_sim.spec.run import Run


def test_figures_of_a_step_time_worked_by_hand() -> None:
    # 111M, 9037.5 steps of 120 x 2048 tokens in 0.7 s each, on two CS-2; 12 L d^2 = 12 x 10 x 768^2 linear weights.
    tokens = 9037.5 * 120 * 2048
    run = Run(shape=load_model("111m").shape, system="cs2", num_csx=2, batch_size=120, seq_len=2048, tokens=tokens)
    sparse = Run(**{name: getattr(run, name) for name in run.__struct_fields__} | {"density": 0.25})
    cluster, economics = load_cluster("cs2", 2), load_economics()
    found = figures(sparse, cluster, 0.7, economics)
    assert found.n_steps == 9037.5
    assert found.step_time_s == 0.7
    assert found.tokens_per_s == pytest.approx(120 * 2048 / 0.7, rel=1e-15)
    assert found.samples_per_s == pytest.approx(120 / 0.7, rel=1e-15)
    assert found.run_time_s == pytest.approx(9037.5 * 0.7, rel=1e-15)
    assert found.energy_j == pytest.approx(9037.5 * 0.7 * 2 * cluster.csx.power_w, rel=1e-15)
    # PaLM, arXiv 2204.02311, Appendix B: 6 N + 12 L d s for each token, over the peak of both systems.
    dense = 6 * 111_050_496 + 12 * 10 * 768 * 2048
    needed = dense - 6 * 0.75 * 12 * 10 * 768**2
    peak_flops_per_s = 2 * cluster.csx.peak_flops_per_s
    assert found.dense_equivalent_mfu == pytest.approx(dense * 120 * 2048 / 0.7 / peak_flops_per_s, rel=1e-14)
    assert found.mfu == pytest.approx(needed * 120 * 2048 / 0.7 / peak_flops_per_s, rel=1e-14)


def test_a_speedup_is_over_the_dense_step_and_at_most_that_of_the_flops() -> None:
    run = {"shape": load_model("111m").shape, "num_csx": 1, "batch_size": 120, "seq_len": 2048, "tokens": 1e9}
    dense, sparse = (simulate(Run(**run, system="cs2", density=density)).result for density in (1.0, 0.25))
    assert sparse.speedup_vs_dense == pytest.approx(dense.step_time_s / sparse.step_time_s, rel=1e-12)
    n_linear = 12 * 10 * 768**2
    of_dense = 6 * 111_050_496 + 12 * 10 * 768 * 2048
    assert sparse.ideal_speedup == pytest.approx(of_dense / (of_dense - 6 * 0.75 * n_linear), rel=1e-15)
    assert (sparse.dense_flops_per_token, dense.ideal_speedup) == (of_dense, 1.0)
    assert 1 < sparse.speedup_vs_dense < sparse.ideal_speedup
