"""Plans: what was rejected, the tornado, what to know before booking."""

from dataclasses import replace as with_changes
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from tests.planning.questions import LIMITS, SMALL, THIRSTY_CS3, found, question
from wse_sim.laws.cerebras_gpt import project_loss
from wse_sim.planning.constraints import Constraints
from wse_sim.planning.outcomes import run_at
from wse_sim.planning.planner import plan_of, walls
from wse_sim.planning.result import Plan
from wse_sim.planning.search import search
from wse_sim.planning.space import Space
from wse_sim.planning.tornado import tornado
from wse_sim.report.plan_tables import answer
from wse_sim.report.quantities import duration, money
from wse_sim.simulation import step_time_s
from wse_sim.spec.cluster import load_cluster
from wse_sim.spec.economics import load_economics


def test_rejections_and_the_kept_add_up() -> None:
    of = found()
    plan = plan_of(of)
    assert sum(plan.rejected.values()) + plan.n_feasible == plan.n_candidates == len(of.tried)
    assert [name == "" for name in walls(of)] == of.missed.is_kept.tolist()


def test_the_cheapest_that_keeps_to_the_limits_is_named_beside_the_best() -> None:
    of = found()
    kept = of.missed.is_kept
    cheapest_usd = float(of.found.cost_usd[kept].min())
    said, _, beside = answer(msgspec.to_builtins(plan_of(of)))
    assert said.startswith("Book ")
    assert beside.startswith("The cheapest of them is ")
    assert f", {money(cheapest_usd)}, " in beside
    assert money(cheapest_usd) not in said
    for limits in (Constraints(), Constraints(deadline_s=1.0)):  # the cheapest is asked for; nothing keeps to them
        assert "cheapest of them" not in " ".join(answer(msgspec.to_builtins(plan_of(found(limits)))))


def test_the_best_may_be_the_cheapest() -> None:
    one = Space(
        systems=("cs3",),
        num_csx=(2,),
        batch_sizes=(256,),
        microbatches=(64,),
        densities=(1.0,),
        schedules=("linear",),
        tokens_per_parameter=(10.0,),
    )
    assert answer(msgspec.to_builtins(plan_of(found(space=one))))[-1] == "None of them is cheaper."


def test_the_answer_says_how_far_one_constant_moves_the_days_and_which_would_break_the_deadline() -> None:
    def said(deadline_s: float | None) -> str:
        plan = msgspec.to_builtins(
            plan_of(search(question(), SMALL, Constraints(deadline_s=deadline_s), objective="cost"))
        )
        ends_s = [bar[f"wall_clock_s_at_{end}"] for bar in plan["tornado"] for end in ("low", "high")]
        assert f"it takes {duration(min(ends_s))} to {duration(max(ends_s))}" in answer(plan)[1]
        return answer(plan)[1]

    assert "deadline" not in said(None)
    best = plan_of(search(question(), SMALL, Constraints(), objective="cost")).best
    assert best is not None
    best_s = best.wall_clock_s
    assert ", more than the deadline for csx.saved_bytes_per_activation, " in said(1.01 * best_s)
    assert said(1.01 * best_s).endswith(" more.")


def test_caveats_are_of_the_length_of_sequences_that_is_planned() -> None:
    """Short sequences take the 111M out of the compute that the law was fitted in."""
    asked = with_changes(question("111m"), seq_len=128)
    plan = plan_of(search(asked, with_changes(SMALL, densities=(1.0,)), Constraints()))
    assert plan.best is not None
    tokens = plan.best.tokens
    short, long = (project_loss(asked.shape, density=1.0, tokens=tokens, seq_len=n).caveats for n in (128, 2048))
    assert any(caveat.startswith("extrapolated") for caveat in set(short) - set(long))
    assert set(short) <= set(plan.caveats)


def test_the_tornado_is_sorted_and_spans_the_best() -> None:
    of = found(replace(LIMITS, target_loss=2.2))
    assert of.best is not None
    bars = tornado(of, of.best)
    at = float(of.found.wall_clock_s[of.best])
    spans_s = [abs(bar.wall_clock_s_at_high - bar.wall_clock_s_at_low) for bar in bars]
    assert spans_s == sorted(spans_s, reverse=True)
    names = [bar.constant for bar in bars]
    assert {"csx.clock_hz", "csx.linear_efficiency", "operations.system_mtbf_s"} <= set(names)
    assert any("tokens to the target" in name for name in names)
    clock = bars[names.index("csx.clock_hz")]
    assert clock.wall_clock_s_at_high < at < clock.wall_clock_s_at_low


def test_the_tornado_simulates_what_the_closed_form_does_not_know() -> None:
    """Buffers of a quarter of a layer, the low end of their range, of a large model in small micro-batches."""
    space = Space(
        systems=("cs3",), num_csx=(1,), batch_sizes=(128,), microbatches=(16,), densities=(1.0,), schedules=("linear",)
    )
    of = found(Constraints(), space)
    assert of.best is not None
    bars = {bar.constant: bar for bar in tornado(of, of.best)}
    bar, at_s = bars["swarmx.buffer_layers"], float(of.found.wall_clock_s[of.best])
    run = run_at(of.question, space, of.tried, of.best)
    slower = step_time_s(run, load_cluster("cs3", 1, {"swarmx.buffer_layers": bar.low})) / of.found.step_s[of.best]
    assert bar.low == 0.25
    assert bar.wall_clock_s_at_low / at_s == pytest.approx(slower, rel=1e-3)  # but for start and checkpoints
    assert slower > 1.05


def test_constants_are_assumed_where_they_are_used_and_not_known_better(tmp_path: Path) -> None:
    """Nobody straggles unless that is asked for, and the price is that of the user's file."""
    file, asked = tmp_path / "mine.toml", question()
    file.write_text(THIRSTY_CS3, encoding="utf-8")
    slow = asked.operations.with_values("a test", stragglers_per_system_day=1.0)
    limits = Constraints(max_csx=1)
    plan = plan_of(search(asked, SMALL, limits))
    plain = set(plan.assumed)
    assert list(plan.assumed_constants) == plan.assumed
    assert all(constant.kind == "assumed" for constant in plan.assumed_constants.values())
    changed = with_changes(asked, operations=slow, economics=load_economics(str(file)))
    others = set(plan_of(search(changed, SMALL, limits)).assumed)
    assert "power_lines.critical_batch.factor" in plain & others
    assert not any(name.startswith("power_lines.timescale") for name in plain | others)
    assert others - plain == {
        "csx.power_w",
        "csx.usd_per_hour",
        "operations.straggler_duration_s",
        "operations.straggler_slowdown",
    }


def test_a_plan_is_the_same_twice_and_can_be_read_back() -> None:
    first, second = (msgspec.json.encode(plan_of(found())) for _ in range(2))
    assert first == second
    assert msgspec.json.decode(first, type=Plan) == plan_of(found())
