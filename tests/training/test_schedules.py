"""Schedules against their closed forms, and the laws that all of them obey."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.schedules import (
    SCHEDULES,
    canonical,
    lr_factor,
    lr_factors,
    parse_schedule,
    split_schedules,
    warmup_steps,
)
from training.schedules.kinds import Place
from wse_sim.errors import SpecError

# 110 steps, 10 of warm-up: step 10 + k is at x = k/100.
N_STEPS, N_WARMUP = 110, 10
COS = {x: 0.5 * (1 + math.cos(math.pi * x)) for x in (0.25, 0.5, 0.75)}

# Text -> {x: fraction of the peak}, worked by hand.
CLOSED_FORMS: dict[str, dict[float, float]] = {
    "constant": {0: 1, 0.37: 1, 1: 1},
    "constant(level=0.3)": {0: 0.3, 1: 0.3},
    "linear": {0: 1, 0.25: 0.75, 0.5: 0.5, 1: 0},
    "linear(floor=0.5)": {0: 1, 0.5: 0.75, 1: 0.5},
    "linear_10x": {0: 1, 0.5: 0.55, 1: 0.1},
    "cosine": {0: 1, 0.25: COS[0.25], 0.5: 0.5, 1: 0},
    "cosine_to_zero": {0: 1, 0.75: COS[0.75], 1: 0},
    "cosine_10x": {0: 1, 0.25: 0.1 + 0.9 * COS[0.25], 0.5: 0.55, 1: 0.1},
    "wsd": {0: 1, 0.8: 1, 0.85: 0.75, 0.9: 0.5, 1: 0},
    "wsd(cooldown=0.4,shape=1-sqrt)": {0.6: 1, 0.7: 0.5, 0.96: 1 - math.sqrt(0.9), 1: 0},
    "wsd(cooldown=0.4,shape=cosine,floor=0.2)": {0.6: 1, 0.7: 0.2 + 0.8 * COS[0.25], 0.8: 0.6, 1: 0.2},
    "wsd(cooldown=1)": {0: 1, 0.5: 0.5, 1: 0},
    # Cooldowns over (0.225, 0.25), (0.45, 0.5) and (0.9, 1); the peak again at once.
    "wsd_s": {0.22: 1, 0.24: 0.4, 0.25: 1, 0.45: 1, 0.48: 0.4, 0.5: 1, 0.9: 1, 0.95: 0.5, 1: 0},
    "wsd_s(ends=[0.5,1],cooldown=0.5)": {0: 1, 0.25: 1, 0.375: 0.5, 0.5: 1, 0.75: 0.5, 1: 0},
    "wsd_s(ends=[0.5,1],cooldown=0.2,floor=0.1)": {0.4: 1, 0.45: 0.55, 0.5: 1, 0.8: 1, 0.9: 0.55, 1: 0.1},
    # Step 10 + 100 x of a warm-up of 10.
    "inverse_sqrt": {0: 1, 0.3: 0.5, 0.8: 1 / 3, 1: math.sqrt(1 / 11)},
    "power(exponent=1)": {0: 1, 0.1: 0.5, 0.4: 0.2, 1: 1 / 11},
    "power": {0: 1, 0.1: 0.5**0.51, 1: 11**-0.51},
    "inverse_sqrt(cooldown=0.2)": {0.3: 0.5, 0.8: 1 / 3, 0.9: 1 / 6, 1: 0},
    "polynomial": {0: 1, 0.25: 0.5625, 0.5: 0.25, 1: 0},
    "polynomial(degree=0.5,floor=0.2)": {0: 1, 0.75: 0.6, 1: 0.2},
    "exponential": {0: 1, 0.5: math.sqrt(0.1), 1: 0.1},
    "exponential(floor=0.25)": {0.5: 0.5, 1: 0.25},
    "step": {0: 1, 0.89: 1, 0.9: 0.1, 1: 0.1},
    "multistep": {0.79: 1, 0.8: 0.316, 0.9: 0.316**2, 1: 0.316**2},
    "step(at=0.5,by=0.5)": {0.49: 1, 0.5: 0.5, 1: 0.5},
    "piecewise": {0: 1, 0.25: 0.625, 0.5: 0.25, 0.75: 0.125, 1: 0},
    "piecewise(at=[0,0.5],values=[0.2,1])": {0: 0.2, 0.25: 0.6, 0.5: 1, 1: 1},
    "piecewise(at=[0,0.5],values=[1,0.3],join=flat)": {0: 1, 0.49: 1, 0.5: 0.3, 1: 0.3},
    # Cycles of 25 steps; from the second on they rise over the first 4: 1/4, 2/4, ... as the run's warm-up does.
    "cyclic(warmup=0.16)": {0: 1, 0.1: 0.6, 0.24: 0.04, 0.25: 0.25, 0.26: 0.5, 0.28: 1, 0.29: 1, 0.395: 0.5, 1: 0},
    "cyclic(cycles=2,warmup=0,shape=cosine)": {0: 1, 0.25: 0.5, 0.5: 1, 0.625: COS[0.25], 1: 0},
    "sequential": {0: 1, 0.5: 1, 0.75: 0.5, 1: 0},
    "sequential(pieces=[linear(floor=0.5),constant(level=0.5),cosine],until=[0.2,0.6,1])": {
        0: 1, 0.1: 0.75, 0.2: 0.5, 0.59: 0.5, 0.6: 1, 0.8: 0.5, 1: 0,
    },
    "segments": {0: 1, 0.5: 1, 0.75: 0.5, 1: 0},
    # Its own 40 steps over the span: from 0.2 to the peak in the first 10, then three quarters of a cosine over 40.
    "segments(of=40,starts=[0,10],over=[10,40],first=[0.2,1],last=[1,0.1],shapes=[linear,cosine])": {
        0: 0.2, 0.125: 0.6, 0.25: 1, 0.5: 0.1 + 0.9 * COS[0.25], 0.75: 0.55, 1: 0.1 + 0.9 * COS[0.75],
    },
    # A piece that ends before the next begins stays where it ended.
    "segments(of=4,starts=[0,3],over=[2,1],first=[1,0.3],last=[0.5,0.3],shapes=[linear,linear])": {
        0: 1, 0.25: 0.75, 0.5: 0.5, 0.74: 0.5, 0.75: 0.3, 1: 0.3,
    },
    "cooldown(start=60)": {0: 1, 0.5: 1, 0.75: 0.5, 1: 0},
    "cooldown(start=10,shape=1-sqrt)": {0: 1, 0.25: 0.5, 1: 0},
}  # fmt: skip

# One of each name, with the cooldown at a step that every run of the law tests has.
NAMES = sorted(name for name in SCHEDULES if name != "cooldown")
JUMPS = {"step", "multistep", "wsd_s", "cyclic"}
COUNTS_STEPS = {"inverse_sqrt", "power"}


@pytest.mark.parametrize("text", CLOSED_FORMS)
def test_schedule_has_its_closed_form(text: str) -> None:
    for x, expected in CLOSED_FORMS[text].items():
        step = N_WARMUP + 100 * x
        assert lr_factor(text, step, N_STEPS, N_WARMUP) == pytest.approx(expected, abs=1e-12), x  # type: ignore[arg-type]


def test_every_schedule_has_a_closed_form_here() -> None:
    assert {text.partition("(")[0] for text in CLOSED_FORMS} == set(SCHEDULES)


@pytest.mark.parametrize("text", CLOSED_FORMS)
def test_after_the_last_step_a_schedule_stays_where_it_ended(text: str) -> None:
    assert lr_factor(text, N_STEPS + 50, N_STEPS, N_WARMUP) == lr_factor(text, N_STEPS, N_STEPS, N_WARMUP)


@pytest.mark.parametrize("text", CLOSED_FORMS)
def test_warmup_is_the_same_for_all(text: str) -> None:
    assert lr_factors(text, N_STEPS, N_WARMUP)[:N_WARMUP] == pytest.approx(np.arange(1, 11) / 10, rel=1e-15)
    zero = lr_factors(text, N_STEPS, N_WARMUP, "zero")
    assert zero[:N_WARMUP] == pytest.approx(np.arange(10) / 10, rel=1e-15)
    assert np.array_equal(zero[N_WARMUP:], lr_factors(text, N_STEPS, N_WARMUP)[N_WARMUP:])


@settings(max_examples=150)
@given(name=st.sampled_from(NAMES), n_steps=st.integers(1, 500), data=st.data())
def test_no_step_is_lost_and_none_is_above_the_peak(name: str, n_steps: int, data: st.DataObject) -> None:
    n_warmup = data.draw(st.integers(0, n_steps - 1))
    factors = lr_factors(name, n_steps, n_warmup)
    assert np.all(factors > 0)  # the first step and the last included
    assert np.all(factors <= 1)
    assert factors[n_warmup] == 1.0
    assert np.all(np.diff(factors[:n_warmup]) > 0)
    if name not in ("wsd_s", "cyclic"):
        assert np.all(np.diff(factors[n_warmup:]) <= 1e-15)


@pytest.mark.parametrize("name", sorted(set(NAMES) - JUMPS))
def test_without_jumps_a_step_ten_times_shorter_moves_ten_times_less(name: str) -> None:
    largest = [np.abs(np.diff(lr_factors(name, n, n // 10))).max() for n in (1000, 10_000)]
    assert largest[1] == pytest.approx(largest[0] / 10, rel=0.05, abs=1e-12)


@settings(max_examples=150)
@given(
    name=st.sampled_from(sorted(set(NAMES) - COUNTS_STEPS - {"cyclic"})),
    n_steps=st.integers(2, 300),
    factor=st.integers(2, 7),
    data=st.data(),
)
def test_in_a_longer_run_the_same_fraction_has_the_same_learning_rate(
    name: str, n_steps: int, factor: int, data: st.DataObject
) -> None:
    n_warmup = data.draw(st.integers(0, n_steps - 1))
    step = data.draw(st.integers(n_warmup, n_steps))
    longer = lr_factor(name, factor * step, factor * n_steps, factor * n_warmup)
    assert longer == pytest.approx(lr_factor(name, step, n_steps, n_warmup), abs=1e-12)


@pytest.mark.parametrize("name", sorted(COUNTS_STEPS))
def test_a_power_law_does_not_know_how_long_the_run_is(name: str) -> None:
    assert np.array_equal(lr_factors(name, 1000, 50)[:200], lr_factors(name, 200, 50))


@settings(max_examples=150)
@given(
    first=st.sampled_from(sorted(set(NAMES) - COUNTS_STEPS)),
    second=st.sampled_from(sorted(set(NAMES) - COUNTS_STEPS)),
    n_first=st.integers(1, 99),
    n_warmup=st.integers(0, 20),
)
def test_pieces_of_a_sequence_are_the_schedules_themselves(
    first: str, second: str, n_first: int, n_warmup: int
) -> None:
    text = f"sequential(pieces=[{first},{second}],until=[{n_first / 100},1])"
    factors = lr_factors(text, n_warmup + 100, n_warmup)[n_warmup:]
    assert factors[:n_first] == pytest.approx(lr_factors(first, n_first, 0), abs=1e-12)
    assert factors[n_first:] == pytest.approx(lr_factors(second, 100 - n_first, 0), abs=1e-12)


@pytest.mark.parametrize(("n_warmup", "step"), [(0, 0), (0, 1), (0, 4), (1, 1), (1, 4), (2, 4)])
def test_a_power_law_without_warmup_starts_from_its_first_step(n_warmup: int, step: int) -> None:
    expected = max(n_warmup, 1) / max(step, 1)
    assert lr_factor("power(exponent=1)", step, 10, n_warmup) == expected


@pytest.mark.parametrize(("step", "x"), [(9.0, 0.0), (10.0, 0.0), (60.0, 0.5), (110.0, 1.0), (111.0, 1.0)])
def test_a_step_outside_of_a_span_is_at_its_nearer_end(step: float, x: float) -> None:
    at = Place(step=step, first=10.0, last=110.0, n_warmup_steps=10)
    assert at.x == x
    assert parse_schedule("cyclic(cycles=1)").factor(at) == 1 - x


def test_a_piece_begins_at_a_whole_step_where_only_rounding_says_otherwise() -> None:
    # 0.56 x 100 is 56.00000000000001: step 78 is half of the way from 56 to 100, where the step is taken.
    text = "sequential(pieces=[constant,step(at=0.5)],until=[0.56,1])"
    assert [lr_factor(text, step, 100, 0) for step in (77, 78)] == [1.0, 0.1]


@pytest.mark.parametrize("shape", ["linear", "1-sqrt", "cosine"])
def test_a_cooldown_off_a_stable_run_is_the_end_of_wsd(shape: str) -> None:
    whole = lr_factors(f"wsd(cooldown=0.2,shape={shape})", 110, 10)
    branch = lr_factors(f"cooldown(start=90,shape={shape})", 110, 10)
    assert branch == pytest.approx(whole, abs=1e-7)  # the square root of a rounding error
    assert np.array_equal(branch[:90], lr_factors("constant", 500, 10)[:90])


@pytest.mark.parametrize("start", [9, 110, 500])
def test_a_cooldown_outside_the_run_is_refused(start: int) -> None:
    with pytest.raises(SpecError, match=f"start is {start}.* in steps 10 to 109"):
        lr_factor(f"cooldown(start={start})", 50, 110, 10)


def test_every_period_of_wsd_s_ends_as_a_wsd_run_of_its_length() -> None:
    factors = lr_factors("wsd_s(ends=[0.25,0.5,1],cooldown=0.2)", 400, 0)
    for end in (100, 200, 400):
        cooldown = end // 5
        assert factors[end - cooldown : end] == pytest.approx(lr_factors("wsd", end, 0)[-cooldown:], abs=1e-12)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("wsd(cooldown=0.2)", "wsd"),
        ("wsd()", "wsd"),
        (" wsd ( cooldown = .1 , shape = cosine ) ", "wsd(cooldown=0.1,shape=cosine)"),
        ("wsd(shape=cosine,cooldown=1e-1)", "wsd(cooldown=0.1,shape=cosine)"),
        ("linear(floor=0.1)", "linear_10x"),
        ("linear_10x(floor=0)", "linear"),
        ("cosine_to_zero", "cosine"),
        ("power(exponent=0.5)", "inverse_sqrt"),
        ("power(cooldown=0)", "power"),
        ("inverse_sqrt(exponent=0.7)", "power(exponent=0.7)"),
        ("step(at=0.8)", "step(at=[0.8])"),
        ("step(at=[0.8,0.9],by=0.316)", "multistep"),
        ("cooldown(start=1e3)", "cooldown(start=1000)"),
        ("sequential(until=[.3,1],pieces=[wsd(cooldown=0.2),linear(floor=.1)])",
         "sequential(pieces=[wsd,linear_10x],until=[0.3,1])"),
    ],
)  # fmt: skip
def test_texts_that_mean_the_same_are_equal(text: str, same: str) -> None:
    assert parse_schedule(text) == parse_schedule(same)
    assert canonical(text) == same
    assert canonical(same) == same


@pytest.mark.parametrize(
    "text",
    [
        "wsd_s(ends=[0.25,0.5,1],cooldown=0.1,shape=linear,floor=0)",
        "cyclic(cycles=4,warmup=0.1,shape=linear,floor=0)",
        "segments(of=100,starts=[0,50],over=[50,50],first=[1,1],last=[1,0],shapes=[linear,linear])",
    ],
)
def test_a_schedule_whose_defaults_are_written_out_is_written_by_its_name(text: str) -> None:
    assert canonical(text) == text.partition("(")[0]


def test_different_parameters_make_different_schedules() -> None:
    schedules = [parse_schedule(text) for text in ("wsd", "wsd(cooldown=0.1)", "linear", "linear_10x", "cosine_10x")]
    assert len(set(schedules)) == 5


def test_commas_inside_parentheses_do_not_split() -> None:
    text = "linear, wsd(cooldown=0.1,shape=1-sqrt),step(at=[0.5,0.8]) ,cosine"
    assert split_schedules(text) == ["linear", "wsd(cooldown=0.1,shape=1-sqrt)", "step(at=[0.5,0.8])", "cosine"]


@pytest.mark.parametrize("text", ["wsd(", "wsd)", "a(b]c)(", "linear,wsd(cooldown=0.1"])
def test_parentheses_come_in_pairs(text: str) -> None:
    with pytest.raises(SpecError):
        [parse_schedule(part) for part in split_schedules(text)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("linear_10", ["unknown schedule 'linear_10'", "did you mean 'linear_10x'"]),
        ("wsd(cooldwn=0.1)", ["unknown parameter of wsd 'cooldwn'", "did you mean 'cooldown'", "floor, shape"]),
        ("wsd(shape=sqrt)", ["unknown shape of wsd 'sqrt'", "did you mean '1-sqrt'"]),
        ("wsd(cooldown=2)", ["cooldown", "<= 1", "it takes wsd(cooldown=0.2,shape=linear,floor=0)"]),
        ("wsd(cooldown=0)", ["cooldown", "> 0"]),
        ("wsd(cooldown=nan)", ["cooldown", "> 0"]),
        ("wsd(cooldown=)", ["cooldown", "got str"]),
        ("wsd(0.1)", ["'0.1' is not of the form parameter=value"]),
        ("wsd(cooldown=0.1,cooldown=0.2)", ["cooldown is given twice"]),
        ("cooldown", ["there is no start", "it takes cooldown(start,"]),
        ("cooldown(start=1.5)", ["start", "got float"]),
        ("cyclic(cycles=0)", ["cycles", ">= 1"]),
        ("exponential(floor=0)", ["floor", "> 0"]),
        ("step(at=[0.9,0.5])", ["at must rise"]),
        ("step(at=[0.5,0.5])", ["at must rise"]),
        ("step(at=[])", ["at[0]"]),
        ("piecewise(at=[0,1])", ["2 fractions for 3 values"]),
        ("piecewise(values=[1,0])", ["3 fractions for 2 values"]),
        ("piecewise(at=[0.1,1],values=[1,0])", ["must begin with 0"]),
        ("wsd_s(ends=[0.5,0.55,1])", ["the cooldown that ends at 0.55", "before 0.5"]),
        ("wsd_s(ends=[0.5])", ["it must be 1"]),
        ("sequential(pieces=[lnear,cosine])", ["did you mean 'linear'"]),
        ("sequential(pieces=[linear])", ["1 pieces for 2 fractions"]),
        ("sequential(pieces=[linear,linear,linear])", ["3 pieces for 2 fractions"]),
        ("sequential(until=[0.5,0.9])", ["until must rise and end with 1"]),
        ("sequential(pieces=[linear,linear,linear],until=[0.6,0.5,1])", ["until must rise and end with 1"]),
        ("sequential(pieces=[linear,linear,linear],until=[0.5,0.5,1])", ["until must rise and end with 1"]),
        ("segments(starts=[0])", ["one length"]),
        ("segments(starts=[1,2])", ["must begin with 0"]),
        ("linear cosine", ["write a name"]),
        ("", ["write a name"]),
    ],
)
def test_a_slip_is_named_with_what_would_be_right(text: str, words: list[str]) -> None:
    with pytest.raises(SpecError) as error:
        parse_schedule(text)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        *("linear(floor=-0.5)", "linear(floor=1.5)", "constant(level=0)", "constant(level=1.5)", "step(by=0)"),
        *("polynomial(degree=0)", "polynomial(degree=16.5)", "power(cooldown=-0.5)", "wsd_s(cooldown=1.5)"),
        *("cyclic(warmup=-0.5)", "cyclic(warmup=1)", "cyclic(cycles=0)", "cooldown(start=-1)"),
        *("segments(of=0)", "segments(over=[0,50])", "segments(starts=[-1,50])"),
    ],
)
def test_a_number_outside_of_its_range_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match=r"Expected `?(float|int)"):
        parse_schedule(text)


@pytest.mark.parametrize(
    "text",
    [
        *("linear(floor=1)", "constant(level=1)", "polynomial(degree=16)", "cyclic(cycles=1,warmup=0)"),
        *("cooldown(start=0)", "segments(of=1,starts=[0],over=[1],first=[1],last=[0],shapes=[linear])"),
    ],
)
def test_a_number_at_the_end_of_its_range_is_taken(text: str) -> None:
    assert lr_factor(text, 0, 10, 0) == 1.0


@pytest.mark.parametrize("n_warmup", [10, 11, -1])
def test_warmup_that_leaves_no_step_is_refused(n_warmup: int) -> None:
    with pytest.raises(SpecError, match="warm-up"):
        lr_factor("linear", 0, 10, n_warmup)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("10%", 904),
        ("0.1", 904),
        ("0", 0),
        ("346 steps", 346),
        ("346steps", 346),
        ("375e6 tokens", 1526),
        ("2.5 %", 226),
        ("1525/9037", 1525),
        ("1 / 4", 2259),
        ("2/3", 6025),
    ],
)
def test_warmup_is_written_in_steps_tokens_or_as_a_fraction(text: str, steps: int) -> None:
    # Cerebras-GPT 111M: 9037 steps of 120 x 2048 tokens; its 375M tokens of warm-up were 1525 steps, rounded down.
    assert warmup_steps(text, n_steps=9037, tokens_per_step=120 * 2048) == steps


@pytest.mark.parametrize("text", ["346", "1", "x", "", "-5 steps", "1/2/3", "1.2.3", "10 percent", "nan", "."])
def test_what_is_no_warmup_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match=r"write 10% or 0\.1"):
        warmup_steps(text, n_steps=1000, tokens_per_step=100)


@pytest.mark.parametrize("text", ["100%", "1000 steps", "1e5 tokens", "0.9996", "2000 steps", "1/1", "1/0"])
def test_warmup_leaves_at_least_one_step(text: str) -> None:
    with pytest.raises(SpecError, match="must leave at least one step"):
        warmup_steps(text, n_steps=1000, tokens_per_step=100)
