"""Claims that need no training, in full; and the frontier's answer on losses made up for it."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training.claims import cerebras_gpt, ema, sparse_published
from training.claims.claim import Finding, Setting, Table
from training.claims.frontier import FULL, SMOKE, gpus, points, wafers
from training.claims.frontier_answer import answer
from training.claims.frontier_ways import (
    Losses,
    Machine,
    common_costs,
    common_loss,
    cost_ratio,
    find_way,
    loss_excess,
    ways_on,
)
from training.claims.registry import CLAIMS
from wse_sim.progress import UNWATCHED

SETTING = Setting(out=Path("unused"), n_seeds=3, n_workers=1, is_smoke=False, watch=UNWATCHED)
VERDICTS = {
    "parameter-counts": "reproduced",
    "tokens-and-steps": "reproduced",
    "training-flops": "reproduced",
    "scaling-law": "reproduced",
    "ema": "reproduced",
    "sparse-scaling-law": "not reproduced",
    "spdf-flops": "reproduced",
}


@pytest.fixture(scope="module")
def findings() -> dict[str, Finding]:
    return {claim.name: claim.find(SETTING) for claim in CLAIMS if not claim.needs_training}


def table(finding: Finding, title: str) -> Table:
    return next(table for table in finding.tables if title in table.title)


def test_verdicts(findings: dict[str, Finding]) -> None:
    assert {name: finding.verdict for name, finding in findings.items()} == VERDICTS
    for finding in findings.values():
        assert finding.why
        assert "Nothing trains" in finding.setup[0] or "trains by AdamW" in finding.setup[0]


def test_13b_has_its_last_parameter_and_two_phases(findings: dict[str, Finding]) -> None:
    assert findings["parameter-counts"].tables[0].rows[-1] == ("13b", 12853386240, 12853386240, 12853386240)
    row = findings["tokens-and-steps"].tables[0].rows[-1]
    assert row[1:5] == ("57,000 x 720 + 78,223 x 1,080", "2.57e+11", "2.57e+11", "20.00")
    assert row[6:] == ("254 / 169", "254 / 169")


def test_flops_of_111m_by_both_counts(findings: dict[str, Finding]) -> None:
    row = findings["training-flops"].tables[0].rows[0]
    assert row == ("111m", "2.644e+18", "2.6e+18", "2.224e+18", "2.5e+18", "1.480e+18")


def test_the_losses_of_the_model_card_give_another_law(monkeypatch: pytest.MonkeyPatch) -> None:
    card = (2.566, 2.299, 2.184, 1.996, 1.834, 1.704, 1.575)
    changed = tuple(
        replace(model, published={**model.published, "pile_loss_sp": loss})
        for model, loss in zip(cerebras_gpt._models(), card, strict=True)
    )
    monkeypatch.setattr(cerebras_gpt, "_models", lambda: changed)
    finding = cerebras_gpt.find_scaling_law(SETTING)
    assert finding.verdict == "not reproduced"
    assert "exponent 0.0584" in finding.why


def test_a_wrong_count_is_not_reproduced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cerebras_gpt, "n_parameters", lambda shape: 1)
    assert cerebras_gpt.find_parameter_counts(SETTING).verdict == "not reproduced"
    assert cerebras_gpt.find_tokens_and_steps(SETTING).verdict == "not reproduced"


def test_refit_of_the_sparse_law_says_what_it_found(findings: dict[str, Finding]) -> None:
    finding = findings["sparse-scaling-law"]
    assert "-1.9 % off" in finding.why
    assert "25 of 25 starts" in finding.why
    coefficients = {row[0]: row[1:] for row in table(finding, "a_s").rows}
    assert coefficients["b_n"] == ("0.2451", "0.2317", "-5.5 %")


def test_the_fit_would_pass_if_the_printed_coefficients_were_the_minimum(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = sparse_published.sparse_t5_runs()
    law = sparse_published.published_laws().sparse_t5
    losses = law.loss(*(np.array(column) for column in (runs.density, runs.nonzeros, runs.steps)))
    exact = type(runs)(density=runs.density, nonzeros=runs.nonzeros, steps=runs.steps, loss=tuple(losses.tolist()))
    monkeypatch.setattr(sparse_published, "sparse_t5_runs", lambda: exact)
    assert sparse_published.find_sparse_law(SETTING).verdict == "reproduced"


def test_weights_are_rebuilt_only_with_the_right_coefficients(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ema.rebuilding_error("linear", seed=7) < 1e-12
    right = ema.ema_coefficients
    monkeypatch.setattr(ema, "ema_coefficients", lambda alpha: np.roll(right(alpha), 1))
    assert ema.rebuilding_error("linear", seed=7) > 1e-5


# --- the frontier


def made_up(*, penalty: float, slope: float = 0.1, noise: float = 1e-3, n_seeds: int = 3) -> Losses:
    """loss = 2 tpp^-slope (1 + penalty x octaves of density); to a tenth 1 % more; a seed shifts all its losses."""
    rng = np.random.default_rng(0)
    shift = rng.normal(size=n_seeds) * noise
    return {
        (rho, schedule, tpp): {
            seed: float(
                2.0 * tpp**-slope * (1 - penalty * math.log2(rho)) * (1.01 if schedule == "cosine_10x" else 1.0)
                + shift[seed]
                + noise * rng.normal() / 10
            )
            for seed in range(n_seeds)
        }
        for rho in (1.0, 0.5, 0.25)
        for schedule in ("linear", "cosine_10x")
        for tpp in (5.0, 10.0, 20.0)
    }


WAFERS = Machine(name="wafers", s_per_tpp={1.0: 8e3, 0.5: 5e3, 0.25: 4e3}, power_w=9e4)
GPUS = Machine(name="GPUs", s_per_tpp=dict.fromkeys((1.0, 0.5, 0.25), 4e3), power_w=4e4)
CONFIG = points(FULL, n_seeds=1)[0].config


def judged(losses: Losses) -> Finding:
    return answer(losses, [WAFERS, GPUS], CONFIG, SETTING)


def test_sparsity_that_costs_less_than_its_speed_brings_wins_on_wafers_alone() -> None:
    finding = judged(made_up(penalty=0.01))  # twice as fast is worth 2^-0.1 = 7 %
    assert finding.verdict == "reproduced"
    assert "On wafers, at the longest time that both have, the loss against the dense model is lower at " in finding.why
    assert "On GPUs, at the longest time that both have, the loss against the dense model is higher at " in finding.why


def test_sparsity_that_costs_more_loses_everywhere() -> None:
    finding = judged(made_up(penalty=0.2))
    assert finding.verdict == "not reproduced"
    assert "Fails: some sparse model beats the dense one" in finding.why


def test_losses_that_the_seeds_do_not_tell_apart_decide_nothing() -> None:
    assert judged(made_up(penalty=0.07, noise=0.3)).verdict == "inconclusive"


def test_a_smoke_run_of_the_frontier_decides_nothing() -> None:
    smoke = replace(SETTING, is_smoke=True)
    assert answer(made_up(penalty=0.01), [WAFERS, GPUS], CONFIG, smoke).verdict == "inconclusive"


def test_a_run_that_diverged_leaves_the_others_their_answer() -> None:
    losses = {run: dict(of_run) for run, of_run in made_up(penalty=0.01).items()}
    losses[0.25, "linear", 20.0][1] = math.inf
    finding = judged(losses)
    assert finding.verdict == "reproduced"  # density 0.5 wins still
    rows = {row[:2]: row for row in table(finding, "At the lowest loss").rows}
    assert rows["0.25 linear", "1 linear"][2:] == ("–", "–", "–")


def test_loss_and_cost_between_two_lengths_by_hand() -> None:
    losses: Losses = {(1.0, "linear", tpp): {0: loss, 1: loss + 1} for tpp, loss in ((5.0, 3.0), (20.0, 2.0))}
    (way,) = ways_on(GPUS, losses)
    half_way = GPUS.s_per_tpp[1.0] * 10 / 86_400  # 10 is half way from 5 to 20 in the logarithm
    np.testing.assert_allclose(way.loss_at("days", half_way), [2.5, 3.5])
    assert way.cost_of("joules", 2.5)[0] == pytest.approx(GPUS.s_per_tpp[1.0] * 10 * GPUS.power_w)
    assert way.falls


def test_the_same_losses_cost_in_proportion_to_the_machine() -> None:
    losses = made_up(penalty=0.0, noise=0.0)
    sparse, dense = (find_way(ways_on(WAFERS, losses), rho, "linear") for rho in (0.25, 1.0))
    loss = common_loss(sparse, dense)
    assert loss is not None
    mean, low, high = cost_ratio(sparse, dense, "days", loss)
    assert (mean, low, high) == pytest.approx((0.5, 0.5, 0.5))
    assert common_costs(sparse, dense, "days") == pytest.approx((40e3 / 86_400, 80e3 / 86_400))
    excess = loss_excess(sparse, dense, "days", 80e3 / 86_400)
    assert excess.mean == pytest.approx(100 * (2**-0.1 - 1), rel=1e-3)


def test_lengths_that_never_cost_the_same_are_not_compared() -> None:
    far = Machine(name="slow", s_per_tpp=dict.fromkeys((1.0, 0.5, 0.25), 1e6), power_w=1.0)
    losses = made_up(penalty=0.0)
    slow, fast = (find_way(ways_on(machine, losses), 1.0, "linear") for machine in (far, GPUS))
    assert common_costs(slow, fast, "days") is None


def test_zeros_bring_a_wafer_time_and_a_gpu_nothing() -> None:
    densities = (1.0, 0.25)
    wafer, gpu = wafers(densities), gpus(densities)
    assert wafer.s_per_tpp[0.25] < wafer.s_per_tpp[1.0]
    assert gpu.s_per_tpp[0.25] == gpu.s_per_tpp[1.0]
    assert (wafer.name, gpu.name) == ("4 CS-2", "32 H100")


def test_every_density_sees_the_same_text() -> None:
    steps = {(p.key["tpp"], p.config.n_steps * p.config.tokens_per_step) for p in points(FULL, n_seeds=3)}
    assert len(steps) == len(FULL.tokens_per_parameter)
    assert len(points(FULL, n_seeds=3)) == 4 * 2 * 3 * 3
    assert len({p.digest for p in points(SMOKE, n_seeds=1)}) == 2 * 2 * 3
