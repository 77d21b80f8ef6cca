"""`wse-sim compare --model M --gpu G` as a user calls it."""

import json
import sys
import types
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.cli.documents import call, printed, screen, validator

RUN = ("compare", "--model", "1.3b", "--density", "0.25", "--system", "cs3", "--num-csx", "2", "--batch-size", "264")
EIGHT = (*RUN, "--tokens", "26.3B", "--gpu", "h100", "--num-gpus", "8")


def compared(*words: str) -> dict[str, Any]:
    content = printed(*EIGHT, *words)
    validator("compare").validate(content)
    return content


def test_json_is_both_sides_with_the_layout_of_the_gpus() -> None:
    content = compared()
    assert content["tokens"] == 26.3e9
    gpu, wafer = content["gpu"], content["wafer"]
    assert gpu["dp"] * gpu["tp"] * gpu["cp"] * gpu["pp"] == gpu["num_gpus"] == 8
    assert {"microbatch", "recompute", "tokens_per_s_per_gpu", "mfu", "energy_j", "cost_usd"} <= set(gpu)
    assert content["ratios"]["run_time"]["value"] == pytest.approx(wafer["run_time_s"] / gpu["run_time_s"])
    assert (wafer["kind"], gpu["kind"], content["here"]) == ("simulated", "simulated", None)


def test_the_same_command_prints_the_same_bytes() -> None:
    assert call(*EIGHT, "--json").stdout == call(*EIGHT, "--json").stdout
    assert call(*EIGHT).stdout == call(*EIGHT).stdout


def test_the_screen_has_a_column_for_every_way_and_a_word_for_every_row() -> None:
    lines = screen(*EIGHT).splitlines()
    assert lines[0] == "1.3b at density 0.25: 2 × CS-3 beside 8 × H100"
    assert lines[1] == "1.32B parameters · 26.3B tokens · 48,643 steps of 264 × 2048"
    assert "2 × CS-3" in lines[2]
    assert lines[3].split() == ["density", "0.25", "dense", "dense"]
    rows = [line for line in lines[4 : lines.index("")] if line.startswith("  ")]
    assert len(rows) == 26
    assert all(row.endswith(("simulated", "projected")) for row in rows)
    assert max(len(line) for line in lines) <= 100
    assert "2:4" in screen(*EIGHT, "--two-four").splitlines()[3]


def test_the_screen_says_which_time_and_which_loss_are_equal_in_which_unit_and_how_the_wafers_cut_the_batch() -> None:
    text, content = screen(*EIGHT), compared()
    in_time, to_loss = (text.split(f"\nAt equal {what}\n")[1].splitlines()[0].split() for what in ("time", "loss"))
    assert in_time == ["time", "of", "all", "steps", *3 * text.split("of all steps")[1].split()[:2], "simulated"]
    assert to_loss == ["loss,", "nats/token", *3 * [f"{content['wafer']['loss']['value']:.3f}"], "projected"]
    assert f"The wafers run in micro-batches of {content['wafer']['microbatch']} sequences each." in text


def test_memory_comes_first_then_speed_then_the_bill() -> None:
    text = screen(*EIGHT)
    places = [
        text.index(f"\n{name}") for name in ("Memory", "Speed", "Run", "At equal time", "At equal loss", "One CS-3")
    ]
    assert places == sorted(places)
    assert text.index("MFU") < text.index("cost")


def test_a_dense_run_has_two_columns_and_says_nothing_of_masks() -> None:
    text = screen("compare", "--model", "111m", "--num-gpus", "8")
    assert text.splitlines()[3].split() == ["dense", "dense"]
    assert "the same masks" not in text
    assert "in this run; it rents for" in " ".join(text.split())


def test_parts_of_the_layout_can_be_fixed() -> None:
    content = compared("--tp", "2", "--pp", "2", "--cp", "1", "--microbatch-gpu", "3", "--recompute-gpu", "full")
    gpu = content["gpu"]
    assert [gpu[part] for part in ("tp", "pp", "cp", "microbatch", "recompute")] == [2, 2, 1, 3, "full"]
    assert gpu["step_time_s"] > compared()["gpu"]["step_time_s"]
    assert {layout["tp"] for layout in content["layouts"]} == {2}
    assert compared("--interleave", "3", "--pp", "4")["gpu"]["interleave"] == 3
    assert compared("--sharding", "zero3")["gpu"]["sharding"] == "zero3"


def test_software_and_precision_are_those_of_the_gpus() -> None:
    fp8, eager = compared("--precision", "fp8"), compared("--gpu-software", "torch-eager")
    assert fp8["wafer"] == eager["wafer"] == compared()["wafer"]
    assert fp8["gpu"]["step_time_s"] < compared()["gpu"]["step_time_s"] < eager["gpu"]["step_time_s"]
    assert fp8["gpu"]["name"] == "8 × H100 fp8 masked to 0.25"


def test_layouts_are_listed_with_the_walls_of_those_that_do_not_fit() -> None:
    text = " ".join(screen(*EIGHT, "--layouts", "2").split("Layouts of the GPUs")[1].split())
    assert text.startswith(": simulated dp tp cp pp")
    assert text.count(" fits: ") == 2
    assert text.count("memory: needs") == 2
    layouts = compared("--layouts", "3")["layouts"]
    assert [bool(layout["wall"]) for layout in layouts] == [False] * 3 + [True] * 3
    assert layouts[0]["step_time_s"] == compared()["gpu"]["step_time_s"] <= layouts[1]["step_time_s"]
    assert len(compared()["layouts"]) == 10


def test_the_tornado_is_of_both_sides() -> None:
    text = screen(*EIGHT, "--tornado")
    assert "What the throughput of 2 × CS-3 density 0.25 hangs on" in text
    assert "What the throughput of 8 × H100 dense hangs on" in text
    assert "h100.sustained_fraction" in text


def test_the_number_of_gpus_is_explained_where_it_was_chosen() -> None:
    text = " ".join(screen(*RUN).split())
    assert "72 H100 because, of the numbers that work, so many come nearest to the price of the wafers" in text
    assert "$216 an hour against $220" in text
    assert "come nearest to the price" not in screen(*EIGHT)


def test_prices_and_operations_are_for_both_sides() -> None:
    usual, bought = compared(), compared("--price-basis", "purchase", "--grid", "france")
    for side in ("wafer", "gpu"):
        assert set(bought[side]["cost_parts_usd"]) == {"amortisation", "electricity", "upkeep"}
        assert bought[side]["carbon_kg"] < usual[side]["carbon_kg"]
    failing = compared("--system-mtbf", "10d")
    for side in ("wafer", "gpu"):
        assert failing[side]["wall_clock_s"] > usual[side]["wall_clock_s"]
        assert compared("--no-failures")[side]["n_failures_expected"] == 0


class Measured(msgspec.Struct):
    """What is read of a measurement."""

    density: float
    device: str = "Made-up CPU"
    precision: str = "fp32"
    executor: str = "dense"
    microbatch: int = 1
    n_threads: int = 2
    step_time_s: float = 1000.0
    tokens_per_s: float = 540.0
    tokens_per_s_low: float = 500.0
    tokens_per_s_high: float = 580.0
    mfu: float = 0.3
    dense_equivalent_mfu: float = 0.4
    run_time_s: float = 5e7
    parts: tuple[dict[str, Any], ...] = ({"part": "blocks", "share": 0.8}, {"part": "ends", "share": 0.2})
    memory_bytes_needed: float = 2e10
    memory_bytes_available: float = 8e9
    fits: bool = False
    notes: tuple[str, ...] = ("a made-up note",)


def test_here_adds_this_machine_measured_for_as_long_as_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def measure_here(shape: Any, *, density: float, say: Any, **given: Any) -> Measured:
        asked.append(given)
        say("a line of progress")
        return Measured(density)

    module = types.ModuleType("training.this_machine")
    module.measure_here = measure_here  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "training.this_machine", module)
    content = compared("--here", "5s")
    assert (content["here"]["kind"], content["here"]["density"], content["here"]["bottleneck"]) == (
        "measured",
        0.25,
        "blocks",
    )
    assert content["here"]["memory"]["verdict"] == "does not fit: needs 20.0 GB, free are 8.00 GB"
    assert content["iso_loss"]["here"]["run_time_s"] == pytest.approx(5e7)
    result = call(*EIGHT, "--here")
    assert "a line of progress" in result.stderr
    assert "This machine is Made-up CPU, 2 threads, fp32, dense executor, microbatch 1." in result.stdout
    rate = next(line for line in result.stdout.splitlines() if line.startswith("  tokens/s"))
    assert rate.split()[-3:] == ["simulated", "540", "measured"]
    assert [given["budget_s"] for given in asked] == [5.0, 20.0]
    assert asked[0]["batch_size"] == 264


def test_out_writes_the_json_and_a_page(tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    result = call(*EIGHT, "--json", "--out", str(out))
    assert result.exit_code == 0, result.output
    content = json.loads((out / "compare.json").read_text(encoding="utf-8"))
    validator("compare-file").validate(content)
    assert content.pop("command").split()[0] == "wse-sim"
    assert content == json.loads(result.stdout)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "<h1>1.3b at density 0.25: 2 × CS-3 beside 8 × H100</h1>" in page
    assert f"written: {out / 'report.html'}\n" in result.stderr
    (out / "report.html").unlink()
    again = call(*EIGHT, "--json", "--out", str(out)).stderr
    assert f"written: {out / 'compare.json'} (replaced)\nwritten: {out / 'report.html'}\n" in again
    (out / "report.html").unlink()
    assert screen("report", str(out)).strip() == str(out / "report.html")
    assert (out / "report.html").read_text(encoding="utf-8") == page


def test_report_of_what_is_no_comparison_names_the_file_and_the_key(tmp_path: Path) -> None:
    (tmp_path / "compare.json").write_text('{"model": 3}')
    result = call("report", str(tmp_path))
    assert result.exit_code == 2
    assert "compare.json: key 'model': Expected `str`, got `int`" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("compare",), "nothing to compare: give --model M, or the folder of a run"),
        (
            ("compare", "some/run", "--model", "111m"),
            "RUN and --model are both given: leave RUN out to compare with GPUs",
        ),
        (("compare", "some/run", "--num-gpus", "8"), "RUN and --num-gpus are both given"),
        (("compare", "."), ".: no stream.jsonl in it"),
        (("compare", "no/such/run"), "no/such/run: there is no such folder"),
        (("compare", "nemotron4-340b"), "to compare a model with GPUs: --model nemotron4-340b"),
        ((*RUN, "--gpu", "h10"), "unknown GPU 'h10': did you mean 'h100'?"),
        ((*RUN, "--gpu-software", "megatorn"), "did you mean 'megatron'?"),
        ((*RUN, "--batch-size", "1000000000000"), "at least 1 and at most 1,000,000"),
        ((*RUN, "--num-gpus", "0"), "num_gpus is 0: it must be at least 1"),
        ((*EIGHT, "--tp", "0"), "--tp is 0: it must be at least 1"),
        ((*EIGHT, "--tp", "3"), "no layout of 1.3b on 8 GPUs with megatron has tp 3"),
        ((*EIGHT, "--layouts", "-1"), "--layouts is -1: it must be at least 0"),
        ((*EIGHT, "--precision", "fp8", "--gpu", "a100-80"), "a100-80 has no fp8: use precision bf16"),
        ((*EIGHT, "--sparsity", "0.5"), "density and sparsity are both given"),
        ((*EIGHT, "--system-mtbf", "1s"), "the run does not come to its end"),
        ((*RUN, "--model", "13b", "--gpu", "a100-40", "--num-gpus", "1"), "13b on 1 x a100-40: memory: needs"),
        ((*EIGHT, "--num-csx", "5"), "batch_size 264 is not a multiple of num_csx 5"),
        ((*EIGHT, "--pue", "0.5"), "pue is 0.5: it must be at least 1"),
        ((*EIGHT, "--here", "soon"), "here is 'soon': write a positive time such as 90s, 3m, 2h or 10d"),
    ],
)
def test_wrong_input_exits_2_with_one_message(words: tuple[str, ...], message: str) -> None:
    result = call(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_out_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = call(*EIGHT, "--out", str(tmp_path / "file" / "folder"))
    assert result.exit_code == 2
    assert "folder: the folder cannot be made: Not a directory" in result.stderr
