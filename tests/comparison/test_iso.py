"""Laws of equal time and equal loss."""

import math
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.comparison.sides import compared, run
from wse_sim.comparison import GpuSide, compare
from wse_sim.comparison.iso import iso_loss, iso_time, tokens_to_loss
from wse_sim.comparison.ways import loss_of
from wse_sim.report.comparison_lines import lines
from wse_sim.report.comparison_page import write_comparison


def law(density: float, tokens: float) -> float:
    loss = loss_of(run(), density, tokens)
    assert loss is not None
    return loss.value


def power_law(tokens: float) -> float:
    return 0.5 + (tokens / 1e9) ** -0.1


def test_at_its_own_time_the_run_is_itself() -> None:
    comparison = compared()
    found = comparison.iso_time["wafer"]
    assert found.tokens == comparison.tokens
    assert found.loss == comparison.wafer.loss


def test_to_its_own_loss_the_run_takes_what_it_takes() -> None:
    comparison = compared()
    found, wafer = comparison.iso_loss["wafer"], comparison.wafer
    assert (found.tokens, found.run_time_s) == (comparison.tokens, wafer.run_time_s)
    assert (found.energy_j, found.carbon_kg, found.cost_usd) == (wafer.energy_j, wafer.carbon_kg, wafer.cost_usd)
    assert found.caveats == wafer.loss.caveats


def test_after_the_tokens_of_equal_loss_every_way_has_that_loss() -> None:
    comparison = compared()
    for name, way in comparison.ways.items():
        tokens = comparison.iso_loss[name].tokens
        assert tokens is not None
        assert law(way.density, tokens) == pytest.approx(law(0.25, comparison.tokens), rel=1e-13)


def test_after_so_few_tokens_that_guessing_is_better_no_loss_is_known() -> None:
    here = msgspec.structs.replace(compared().ways["gpu"], tokens_per_s=10.0)
    found = iso_time(run(), {"wafer": compared().wafer, "here": here})["here"]
    assert found.tokens < 1e6
    assert found.loss is None
    assert law(0.25, found.tokens) > math.log(50257)


def test_an_encoder_has_no_law_and_so_no_loss(tmp_path: Path) -> None:
    comparison = compare(run("bert-large", density=1.0, num_csx=1, batch_size=256), GpuSide(num_gpus=8))
    assert (comparison.wafer.loss, comparison.iso_time, comparison.iso_loss) == (None, {}, {})
    assert "loss: no law is known of an encoder" in comparison.notes
    assert not any("wse-sim plan" in note for note in comparison.notes)
    assert {line.group for line in lines(comparison)} == {"Memory", "Speed", "Run"}
    write_comparison(comparison, tmp_path, command="-")


def test_dense_ways_need_fewer_tokens_and_faster_ones_see_more() -> None:
    comparison = compared()
    to_loss, in_time = comparison.iso_loss, comparison.iso_time
    assert to_loss["wafer_dense"].tokens == to_loss["gpu_dense"].tokens
    assert to_loss["gpu_dense"].tokens < comparison.tokens == to_loss["gpu"].tokens  # type: ignore[operator]
    assert in_time["gpu"].tokens / comparison.tokens == pytest.approx(
        1 / comparison.ratios.tokens_per_s.value, rel=1e-12
    )
    assert in_time["gpu"].tokens == in_time["gpu_dense"].tokens
    assert law(1.0, in_time["gpu_dense"].tokens) < law(0.25, in_time["gpu"].tokens)


def test_a_law_outside_of_what_it_was_fitted_to_says_so() -> None:
    loss = compared().iso_time["wafer_dense"].loss
    assert loss is not None
    caveats = " ".join(loss.caveats)
    assert "Eq. 1 was fitted at 20 tokens per parameter, this run has 11.8" in caveats
    assert "away from 20 the law is less sure" in " ".join(compared().notes)


def test_notes_say_why_a_plan_projects_other_losses_for_the_same_run() -> None:
    assert any(note.startswith("these losses know nothing of batch and schedule") for note in compared().notes)


def test_curves_pass_through_the_ends_of_the_runs() -> None:
    comparison = compared()
    for name, way in comparison.ways.items():
        curve = comparison.loss_curves[name]
        assert curve.time_s[0] < way.run_time_s < curve.time_s[-1]
        assert list(curve.loss) == sorted(curve.loss, reverse=True)
        at_end = np.interp(np.log(way.run_time_s), np.log(curve.time_s), curve.loss)
        assert at_end == pytest.approx(law(way.density, comparison.tokens), rel=1e-3)


def test_a_loss_that_a_way_never_reaches_has_a_reason_and_no_numbers() -> None:
    """Masked to a hundredth, the model cannot come to the loss that the dense one has after so many tokens."""
    dense = run(density=1.0, tokens=1e12)
    ways = compared(1.0).ways
    wafer = msgspec.structs.replace(ways["wafer"], loss=loss_of(dense, 1.0, 1e12))
    masked = msgspec.structs.replace(ways["gpu"], density=0.01)
    found = iso_loss(dense, {"wafer": wafer, "gpu": masked})
    assert found["wafer"].tokens == 1e12
    assert (found["gpu"].tokens, found["gpu"].run_time_s, found["gpu"].cost_usd) == (None, None, None)
    assert "does not reach" in found["gpu"].reason


@given(st.floats(0.6, 3.0), st.floats(1e6, 1e12))
def test_inverting_a_falling_law_finds_the_tokens_from_anywhere(target: float, start: float) -> None:
    found = tokens_to_loss(power_law, target, start)
    expected = 1e9 * (target - 0.5) ** -10.0
    if found is None:
        assert not start / 2.0**40 < expected < start * 2.0**40
    else:
        assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("target", [0.5, 0.4, 0.5000001])
def test_a_loss_below_what_the_law_reaches_is_not_reached(target: float) -> None:
    assert tokens_to_loss(power_law, target, 1e9) is None
