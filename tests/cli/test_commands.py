"""The commands as a user calls them."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.cli.documents import call, loaded_modules, printed
from wse_sim import __version__
from wse_sim.cli.app import COMMANDS
from wse_sim.cli.explain_constants import constants_called
from wse_sim.errors import SpecError
from wse_sim.spec.written import parse_count

SIMULATE = ("simulate", "--model", "111m", "--density", "0.25")
CONTRACT = {
    "step_time_s",
    "tokens_per_s",
    "samples_per_s",
    "mfu",
    "dense_equivalent_mfu",
    "params",
    "nonzero_params",
    "dense_flops_per_token",
    "sparse_flops_per_token",
    "speedup_vs_dense",
    "bottleneck",
    "breakdown",
    "run_time_s",
    "energy_j",
    "cost_usd",
    "assumed",
    "tokens_per_s_low",
    "tokens_per_s_high",
    "engine",
}


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    result = call("--help")
    assert result.exit_code == 0
    for name, line in COMMANDS.items():
        assert name in result.output
        assert line in result.output
    heavy = {"numpy", "numba", "torch", "matplotlib", "rich", "msgspec", "simpy"}
    assert not heavy & loaded_modules("--help")
    for name in COMMANDS:
        assert not heavy & loaded_modules(name, "--help"), name


def test_a_warm_simulation_imports_neither_torch_nor_what_draws_nor_numba() -> None:
    loaded_modules(*SIMULATE, "--json")  # compiles, if it is the first ever
    loaded = loaded_modules(*SIMULATE, "--json")
    assert not {"torch", "matplotlib", "rich", "simpy", "numba"} & loaded
    assert "llvmlite" in loaded


@pytest.mark.parametrize(
    "words",
    [
        ("train", "--model", "111m", "--gpu-software", "slurm"),
        ("coord-check", "--over", "width", "--values", "1,x"),
        ("transfer", "--over", "density", "--values", "9,8"),
    ],
)
def test_who_is_refused_has_not_waited_for_what_draws(words: tuple[str, ...]) -> None:
    started = [sys.executable, "-X", "importtime", "-m", "wse_sim", *words]
    refused = subprocess.run(started, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "error: " in refused.stderr
    assert "matplotlib" not in refused.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--schedule", "lineer"), "unknown schedule"),
        (("--data", "not-there.jsonl"), "there is no such file"),
        (("--peak-lr", "0", "--mode", "dense"), "peak_lr is 0"),
        (("--init-from", ".", "--mode", "dense"), "config.json"),
        (("--resume", "."), "there is no run to resume here"),
    ],
)
def test_what_train_refuses_it_refuses_before_torch_is_loaded(
    words: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    model = () if words[0] == "--resume" else ("--model", "111m")
    started = [sys.executable, "-X", "importtime", "-m", "wse_sim", "train", *model, *words]
    refused = subprocess.run(started, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert said in refused.stderr
    assert not re.search(r"\| +torch$", refused.stderr, re.MULTILINE)


def test_every_command_has_a_help_page() -> None:
    for name in COMMANDS:
        result = call(name, "--help")
        assert result.exit_code == 0, (name, result.output)
        assert f"wse-sim {name}" in result.output or f"main {name}" in result.output


def test_version_is_printed() -> None:
    assert __version__ in call("--version").output


def test_simulate_prints_one_json_object_with_the_keys_of_the_contract() -> None:
    content = printed(*SIMULATE)
    assert set(content) >= CONTRACT
    assert math.isclose(sum(content["breakdown"].values()), 1.0, rel_tol=1e-9)
    assert {"events", "wall_s", "events_per_s"} <= set(content["engine"])
    assert content["tokens_per_s_low"] <= content["tokens_per_s"] <= content["tokens_per_s_high"]
    assert content["batch_size"] == 120


def test_sparsity_is_one_minus_density() -> None:
    words = ("simulate", "--model", "111m", "--sparsity", "0.9")
    assert printed(*words)["density"] == 0.1


def test_systems_follow_the_recipe_only_with_its_batch() -> None:
    assert printed("simulate", "--model", "2.7b")["num_csx"] == 4
    assert printed("simulate", "--model", "2.7b", "--batch-size", "120")["num_csx"] == 1


def test_simulate_prints_a_table_for_people() -> None:
    result = call(*SIMULATE)
    assert result.exit_code == 0
    assert "simulated" in result.stdout
    assert "tokens/s" in result.stdout


def test_simulate_writes_a_trace(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    result = call(*SIMULATE, "--json", "--trace", str(path))
    assert json.loads(result.stdout)["model"] == "111m"
    assert json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    assert [p.name for p in tmp_path.iterdir()] == ["trace.json"]


@pytest.mark.parametrize("engine", ["max-plus", "des", "reference"])
def test_every_engine_gives_the_same_step_and_says_its_name(engine: str) -> None:
    result = printed(*SIMULATE, "--density", "0.5", "--engine", engine)
    assert result["engine"]["name"] == engine
    assert result["step_time_s"] == printed(*SIMULATE, "--density", "0.5")["step_time_s"]


def test_verify_compares_every_task_with_a_second_engine() -> None:
    result = call(*SIMULATE, "--verify", "--json")
    assert json.loads(result.stdout)["engine"]["name"] == "max-plus"
    assert "verified: des gives the same finish time for each of" in result.stderr


def test_tornado_shows_the_constants_that_matter_most_first() -> None:
    assert "What the throughput hangs on" in call(*SIMULATE, "--tornado").stdout
    found = printed(*SIMULATE)["sensitivity"]
    spans = [abs(math.log(s["tokens_per_s_at_high"] / s["tokens_per_s_at_low"])) for s in found]
    assert spans == sorted(spans, reverse=True)
    assert found[0]["constant"].startswith("csx.")


def test_imperfections_and_changing_masks_cost_time() -> None:
    plain = printed(*SIMULATE, "--density", "0.25")["step_time_s"]
    for words in (("--straggler", "1.2"), ("--jitter", "0.1"), ("--sparsity-algorithm", "rigl")):
        assert printed(*SIMULATE, "--density", "0.25", *words)["step_time_s"] > plain


def test_wall_clock_adds_start_checkpoints_and_failures_to_the_steps() -> None:
    result = printed(*SIMULATE)
    parts = result["wall_clock_parts_s"]
    assert result["wall_clock_s"] == pytest.approx(sum(parts.values()))
    assert parts["useful"] == pytest.approx(result["run_time_s"], rel=1e-3)
    assert result["goodput"] == pytest.approx(parts["useful"] / result["wall_clock_s"])
    assert result["wall_clock_p5_s"] <= result["wall_clock_s"] * 1.01
    assert printed("explain", "operations")["constants"]["system_mtbf_s"]["kind"] == "assumed"


def test_releases_may_be_more_exact_than_the_data() -> None:
    rates = [printed(*SIMULATE, "--release", name)["tokens_per_s"] for name in ("r2", "R2.0.3", "r1.7", "1.7.1")]
    assert rates[0] == rates[1] > rates[2] == rates[3]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*SIMULATE, "--density", "0"), "density is 0.0: it must be above 0 and at most 1"),
        ((*SIMULATE, "--density", "1.5"), "density is 1.5: it must be above 0 and at most 1"),
        ((*SIMULATE, "--density", "nan"), "density is nan: it must be above 0 and at most 1"),
        (("simulate", "--model", "111m", "--sparsity", "1"), "sparsity is 1.0: it must be at least 0 and below 1"),
        ((*SIMULATE, "--sparsity", "0.75"), "density and sparsity are both given: use one"),
        (("simulate", "--model", "2.6b"), "unknown model '2.6b': did you mean '2.7b'?"),
        (("simulate", "--model", "gpt-j-6b"), "comes with no recipe: say the sequences per step with --batch-size"),
        ((*SIMULATE, "--system", "cs9"), "unknown system 'cs9'"),
        (
            (*SIMULATE, "--num-csx", "many"),
            "Invalid value for '--num-csx': 'many' is not a valid integer. (wse-sim simu",
        ),
        (("simulate",), "--model is missing: name a preset (wse-sim list)"),
        (("simulat",), "No such command 'simulat'. Did you mean 'simulate'?"),
        (("--modle",), "No such option '--modle'"),
        (
            (*SIMULATE, "--num-cs", "2"),
            "No such option '--num-cs'. Did you mean '--num-csx'? (wse-sim simulate --help)",
        ),
        ((*SIMULATE, "--num-csx", "0"), "num_csx is 0: it must be at least 1"),
        ((*SIMULATE, "--num-csx", "7"), "batch_size 120 is not a multiple of num_csx 7"),
        ((*SIMULATE, "--batch-size", "-4"), "batch_size is -4: it must be at least 1"),
        ((*SIMULATE, "--microbatch", "7"), "microbatch 7 does not divide the 120 sequences per system"),
        ((*SIMULATE, "--seq-len", "4096"), "seq_len is 4096: 111m takes 1 to 2048"),
        ((*SIMULATE, "--release", "r9"), "unknown software release 'r9'"),
        ((*SIMULATE, "--tokens", "many"), "tokens is 'many': write a number such as 1e9, 26.3B or 800M"),
        (
            (*SIMULATE, "--tokens", "257"),
            "tokens is 257: a run has at least one step, 245,760 tokens in a batch of 120",
        ),
        ((*SIMULATE, "--batch-size", "1" + 20 * "0"), "it must be at least 1 and at most 1,000,000"),
        (("schedules", "linear", "--n-steps", "1" + 20 * "0"), "it must be at least 1 and at most 1,000,000"),
        ((*SIMULATE, "--tokens", "0"), "tokens is 0.0: it must be a positive number"),
        ((*SIMULATE, "--trace", "/no/such/folder/t.json"), "/no/such/folder/t.json: cannot be written"),
        ((*SIMULATE, "--jitter", "-1"), "jitter is -1.0: it must be at least 0"),
        ((*SIMULATE, "--straggler", "0.5"), "straggler is 0.5: it must be at least 1"),
        ((*SIMULATE, "--straggler", "1e6", "--engine", "des"), "the event engine counts up to 2.2 s: use more tiles"),
        ((*SIMULATE, "--straggler", "1e12"), "s is more than 2^63 ps, where the simulated clock ends"),
        ((*SIMULATE, "--tokens", "1e25"), "tokens is 1e+25: it must be a positive number, at most 1e+21"),
        (
            (*SIMULATE, "--tokens", "1e20"),
            "tokens, and at most 1e+12 can be simulated: at most 2.46e+17 tokens",
        ),
        ((*SIMULATE, "--tokens", "1e17", "--checkpoint-interval", "9 steps"), "one every 40,691 steps or more, or at"),
        ((*SIMULATE, "--engine", "ptolemy"), "unknown engine 'ptolemy': known are max-plus, des, reference"),
        ((*SIMULATE, "--mask-update-steps", "5"), "mask_update_steps is 5, but static masks never change"),
        ((*SIMULATE, "--sparsity-algorithm", "gmp", "--mask-update-steps", "0"), "mask_update_steps is 0: it must be"),
        ((*SIMULATE, "--mask-from", "/no/such/run"), "/no/such/run: there is no such folder"),
        (("explain", "mfuu"), "unknown field 'mfuu': did you mean 'mfu'?"),
        (("explain", "csx.clock"), "unknown constant 'csx.clock': did you mean 'csx.clock_hz'?"),
        (("explain", "constants", "--system", "cs9"), "unknown system 'cs9'"),
        (("report", "/no/such/folder"), "/no/such/folder: there is no such folder"),
    ],
)
def test_wrong_input_exits_2_with_one_message(words: tuple[str, ...], message: str) -> None:
    result = call(*words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "code", "words"), [(KeyboardInterrupt(), 130, "interrupted"), (ZeroDivisionError("x"), 1, "has a bug")]
)
def test_interrupts_exit_130_and_our_faults_exit_1(error: BaseException, code: int, words: str) -> None:
    with patch("wse_sim.simulation.simulate", side_effect=error):
        result = call(*SIMULATE)
    assert result.exit_code == code
    assert words in result.stderr
    assert ("Traceback" in result.stderr) == (code == 1)


@pytest.mark.parametrize(
    ("text", "number"), [("1e9", 1e9), ("26.3B", 26.3e9), ("800M", 8e8), ("12k", 12e3), ("1.5T", 1.5e12), ("7", 7.0)]
)
def test_counts_take_suffixes(text: str, number: float) -> None:
    assert parse_count(text, "tokens") == number


@pytest.mark.parametrize("text", ["", "B", "1e", "1.2.3B", "1 000", "-", "0x10"])
def test_what_is_no_count_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="tokens is"):
        parse_count(text, "tokens")


def test_explain_says_unit_definition_and_formula() -> None:
    result = call("explain", "samples_per_s")
    assert "sequences/s" in result.output
    assert "batch_size / step_time_s" in result.output
    fields = printed("explain")["fields"]
    assert len(fields) > 80
    assert printed("explain", "constants")["constants"]["csx.clock_hz"]["source"]


def test_explain_takes_names_of_fields_for_constants_only_where_its_help_says_so() -> None:
    names = {field["name"] for field in printed("explain")["fields"]}
    assert {name for name in names if constants_called(name, "cs2")} == {"constants", "gpus", "operations", "economics"}
    assert printed("explain", "constants.before")["fields"][0]["where"] == "calibration"


def test_explain_prints_constants_of_gpus_with_range_kind_source_and_date() -> None:
    assert set(printed("explain", "h100.price_usd_per_h")["constants"]) == {"h100.price_usd_per_h"}
    price = printed("explain", "h100.price_usd_per_h")["constants"]["h100.price_usd_per_h"]
    assert price["low"] < price["value"] < price["high"]
    assert price["as_of"]
    of_h100 = printed("explain", "h100")["constants"]
    assert {"h100.tdp_w", "h100.sustained_fraction"} <= set(of_h100)
    assert not any(name.startswith("h100-500w") for name in of_h100)
    assert "gpu_training.link_fraction" in printed("explain", "gpu_training")["constants"]
    assert set(printed("explain", "torch-eager.rate_factor")["constants"]) == {"torch-eager.rate_factor.hopper"}
    assert len(printed("explain", "gpus")["constants"]) > 150
    assert "calibrated" in call("explain", "h100.sustained_fraction").stdout


def test_list_shows_what_the_data_hold() -> None:
    content = printed("list")
    assert set(content) == {"models", "systems", "gpus", "gpu-software", "releases"}
    assert {"111m", "13b"} <= {row["name"] for row in content["models"]}
    assert set(printed("list", "gpus")) == {"gpus"}
    gpus = {row["name"]: row for row in content["gpus"]}
    assert gpus["h100"]["fp8_peak_flops_per_s"] == 2 * gpus["h100"]["peak_flops_per_s"] + 1e12  # rounded data sheet
    assert gpus["a100-80"]["fp8_peak_flops_per_s"] is None
    assert all(row["tdp_w"] > 0 and row["price_usd_per_h"] > 0 and row["as_of"] for row in gpus.values())
    programs = {row["name"]: row for row in content["gpu-software"]}
    assert (programs["megatron"]["fp8"], programs["megatron-2022"]["fp8"]) == (True, False)
    table = call("list").stdout
    assert all(len(line) <= 100 for line in table.splitlines())


def test_the_program_runs_as_a_module() -> None:
    words = [sys.executable, "-m", "wse_sim", "explain", "mfu"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "PaLM" in done.stdout
    assert done.stderr == ""


def test_sparse_wide_widens_the_model_and_keeps_the_tokens() -> None:
    dense, wide = (
        printed("simulate", "--model", "111m", *more) for more in ((), ("--density", "0.25", "--sparse-wide"))
    )
    assert wide["model"] == "111m-sparse-wide-0.25"
    assert wide["tokens"] == dense["tokens"]
    assert wide["params"] > 3 * dense["params"]
