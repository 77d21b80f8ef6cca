"""`wse-sim plan` as its users meet it."""

import csv
import json
import re
from functools import partial
from pathlib import Path

import pytest

from tests.cli.documents import call, screen
from wse_sim import __version__
from wse_sim.cli.app import EXIT_INPUT, EXIT_UNMET

AXES = ["--model", "1.3b", "--num-csx", "1,4,16", "--batch-size", "256,512", "--tpp", "10,20"]
WITHIN = ["--deadline", "3d", "--max-cost", "60k"]
run = partial(call, "plan")


def test_what_to_book_comes_first_and_every_part_is_there() -> None:
    result = run(*AXES, *WITHIN)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("Book ")
    for part in (
        "Pareto front in wall clock, cost (simulated) and loss (projected, nats/token)",
        "rejected by",
        "Before you book",
    ):
        assert part in result.stdout
    assert "What the wall clock hangs on" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_the_cheapest_is_named_and_in_the_table() -> None:
    said, _, table = run(*AXES, "--deadline", "30d").stdout.partition("Pareto front")
    price = re.search(r"The cheapest of them is [^$]*(\$[\d,]+\d)", " ".join(said.split()))
    assert price is not None
    assert price[1] in table


def test_json_is_one_object_with_the_keys_that_scripts_rely_on() -> None:
    content = json.loads(run(*AXES, *WITHIN, "--json").stdout)
    assert content["is_satisfied"] is True
    assert {"best", "front", "rejected", "tornado", "nearest_miss", "constraints", "axes"} <= set(content)
    assert content["constraints"]["deadline_s"] == 3 * 86_400
    assert content["constraints"]["max_cost_usd"] == 60_000
    assert content["best"]["engine"] == "event"
    assert content["best"]["wall_clock_s"] <= 3 * 86_400


def test_when_nothing_keeps_to_the_limits_the_exit_code_is_3_and_the_nearest_miss_is_shown() -> None:
    result = run(*AXES, "--deadline", "1h", "--target-loss", "1.2")
    assert result.exit_code == EXIT_UNMET
    assert result.stdout.startswith("Nothing keeps to deadline 1.00 h, loss 1.2. ")
    assert "The nearest miss is" in result.stdout
    content = run(*AXES, "--deadline", "1h", "--target-loss", "1.2", "--json")
    assert content.exit_code == EXIT_UNMET
    assert json.loads(content.stdout)["nearest_miss"]["missed"].keys() == {"deadline_s", "target_loss"}


@pytest.mark.parametrize(
    ("deadline", "said"), [("10s", r"misses deadline at [\d,]{3,} times the limit"), ("1h", r"deadline by \d+\.\d %")]
)
def test_a_miss_is_a_percentage_or_beyond_the_tenfold_a_multiple(deadline: str, said: str) -> None:
    result = run(*AXES, "--deadline", deadline, "--density", "1")
    assert re.search(said, " ".join(result.stdout.split()))


def test_a_value_that_is_named_twice_is_tried_once() -> None:
    def n_candidates(schedule: str, system: str) -> int:
        of = run(*AXES, "--density", "1", "--schedule", schedule, "--system", system, "--json")
        return int(json.loads(of.stdout)["n_candidates"])

    assert n_candidates("linear, linear_10x,linear", "cs3,CS3") == n_candidates("linear,linear_10x", "cs3")


def test_one_candidate_is_no_candidates(tmp_path: Path) -> None:
    one = ("--system", "cs3", "--num-csx", "1", "--batch-size", "256", "--microbatch", "64", "--density", "1")
    result = run("--model", "1.3b", *one, "--schedule", "linear", "--tpp", "20", "--out", str(tmp_path))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "It is the cheapest of 1 candidate." in " ".join(result.stdout.split())
    assert "1 configuration on the front" in page
    assert not re.search(r"\b1 (candidates|configurations)\b", result.stdout + page)
    assert f"wse-sim {__version__}</p>" in page


def test_units_of_limits_are_understood() -> None:
    words = ["--max-power", "0.1mw", "--max-energy", "30 MWh", "--max-carbon", "20t", "--max-csx", "4"]
    constraints = json.loads(run(*AXES, *words, "--json").stdout)["constraints"]
    assert constraints["max_power_w"] == 1e5
    assert constraints["max_energy_j"] == pytest.approx(30 * 3.6e9)
    assert constraints["max_carbon_kg"] == 2e4
    assert constraints["max_csx"] == 4


def test_files_hold_every_candidate_and_a_page(tmp_path: Path) -> None:
    result = run(*AXES, *WITHIN, "--out", str(tmp_path / "plan"), "--json")
    content = json.loads(result.stdout)
    written = json.loads((tmp_path / "plan" / "plan.json").read_text(encoding="utf-8"))
    assert written.pop("command").startswith("wse-sim")
    assert written == content
    assert "To do it again" in (tmp_path / "plan" / "report.html").read_text(encoding="utf-8")
    with (tmp_path / "plan" / "candidates.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == content["n_candidates"]
    assert sum(row["rejected_by"] == "" for row in rows) == content["n_feasible"]
    assert all(row["step_time_s"] == "" for row in rows if row["rejected_by"] == "wafer memory")
    with (tmp_path / "plan" / "front.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(content["front"])
    page = (tmp_path / "plan" / "report.html").read_text(encoding="utf-8")
    for part in ("What to book for 1.3b", "Pareto front", "What the days hang on", "Assumed constants"):
        assert part in page
    assert page.count("<svg") == 4  # two figures, for wide and narrow pages
    (tmp_path / "plan" / "report.html").unlink()
    screen("report", tmp_path / "plan")
    assert (tmp_path / "plan" / "report.html").read_text(encoding="utf-8") == page


def test_files_are_written_when_nothing_keeps_to_the_limits_too(tmp_path: Path) -> None:
    result = run(*AXES, "--deadline", "1h", "--target-loss", "1.2", "--out", str(tmp_path))
    assert result.exit_code == EXIT_UNMET
    assert "The nearest miss is" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert run(*AXES, *WITHIN, "--out", str(tmp_path / "kept")).exit_code == 0
    empty, full = ((folder / "front.csv").read_text(encoding="utf-8") for folder in (tmp_path, tmp_path / "kept"))
    assert empty.splitlines() == full.splitlines()[:1]
    assert empty.startswith("system,num_csx,batch_size,")


def test_when_no_run_comes_to_its_end_the_plan_says_so_and_what_would_help(tmp_path: Path) -> None:
    result = run(*AXES, "--system-mtbf", "3s", "--out", str(tmp_path))
    assert result.exit_code == EXIT_UNMET
    assert "Traceback" not in result.output
    said = " ".join(result.stdout.split())
    assert said.startswith("Nothing fits: none of")
    assert "failures do not let the run end, more than 100,000 are expected: a longer --system-mtbf" in said
    assert json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))["rejected"]["failures"] > 0


def test_a_constant_that_leaves_the_run_no_end_says_so_in_the_tornado(tmp_path: Path) -> None:
    """A run that fails every five minutes, and may take an hour to notice."""
    result = run(*AXES, "--num-csx", "1", "--system-mtbf", "5m", "--out", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert "never ends" in result.stdout
    bars = json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))["tornado"]
    assert bars[0]["constant"] == "operations.detection_s"
    assert bars[0]["wall_clock_s_at_high"] is None
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "At one end of its range failures do not let the run end: operations.detection_s" in page


def test_an_encoder_is_refused_for_its_loss() -> None:
    result = run("--model", "bert-large", *WITHIN)
    assert result.exit_code == EXIT_INPUT
    assert "bert-large is an encoder, whose loss no law here knows" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--deadline", "soon"], "--deadline is 'soon': write a positive number with its unit: s, m, h, d"),
        (["--deadline", "10"], "--deadline is '10': write a positive number with its unit: s, m, h, d"),
        (["--max-power", "500"], "--max-power is '500': write a positive number with its unit: W, kW, MW"),
        (["--max-energy", "-1kWh"], "--max-energy is '-1kWh': write a positive number with its unit: kWh, MWh, GWh"),
        (["--max-cost", "cheap"], "--max-cost is 'cheap'"),
        (["--max-cost", "-5"], "--max-cost (max_cost_usd) is -5: it must be a positive number"),
        (["--tpp", "20,-1"], "tpp is '20,-1': write positive numbers"),
        (["--num-csx", "1,x"], "num_csx is '1,x': write whole numbers"),
        (["--schedule", "cosine"], "unknown schedule whose loss a law knows 'cosine'"),
        (["--minimise", "fun"], "unknown objective 'fun'"),
        (["--density", "0.5", "--sparsity", "0.5"], "density and sparsity are both given"),
        (["--seq-len", "0"], "seq_len is 0: it must be at least 1"),
        (["--seq-len", "2049"], "seq_len is 2049: 111m takes 1 to 2048"),
        (["--target-loss", "-1"], "--target-loss (target_loss) is -1: it must be a positive number"),
    ],
)
def test_wrong_input_is_one_message(words: list[str], message: str) -> None:
    result = run("--model", "111m", *words)
    assert result.exit_code == EXIT_INPUT
    assert message in result.stderr
    assert "Traceback" not in result.output
