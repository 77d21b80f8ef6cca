"""Results say what the commands print, as dictionaries, frames and pages of notebooks."""

import copy
import inspect
import json
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import wse_sim
from tests.cli.documents import call, printed
from tests.conftest import TINY
from tests.spec.model_zoo.published import path_of
from training.job import read_job
from wse_sim.api.asking import by_option, in_keywords
from wse_sim.cli.app import main
from wse_sim.progress import Unwatched
from wse_sim.spec.load import load_model

RUN = {"system": "cs3", "num_csx": 4, "batch_size": 1080, "density": 0.25}
WORDS = ("--model", "13b", "--system", "cs3", "--num-csx", "4", "--batch-size", "1080", "--density", "0.25")
AXES = {"num_csx": [4, 8], "batch_size": "512", "density": (1, 0.25), "schedule": "linear", "tpp": 20}
AXES_WORDS = ("--num-csx", "4,8", "--batch-size", "512", "--density", "1,0.25", "--schedule", "linear", "--tpp", "20")

ASKED: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    "simulate": (lambda: wse_sim.simulate("13b", tokens="26.3B", **RUN), (*WORDS, "--tokens", "26.3B")),
    "compare": (
        lambda: wse_sim.compare("13b", gpu="h200", num_gpus="64", **RUN),
        (*WORDS, "--gpu", "h200", "--num-gpus", "64"),
    ),
    "plan": (
        lambda: wse_sim.plan("13b", deadline="10d", max_cost=2e5, **AXES),
        ("--model", "13b", "--deadline", "10d", "--max-cost", "200k", *AXES_WORDS),
    ),
    "sweep": (
        lambda: wse_sim.sweep("111m", num_csx=[1, 2, 7], density="1,0.25", set={"csx.power_w": 2e4}),
        (*("--model", "111m", "--num-csx", "1,2,7", "--density", "1,0.25"), "--set", "csx.power_w=2e4"),
    ),
    "project": (lambda: wse_sim.project(model="2.7b", sparsity=0.75), ("--model", "2.7b", "--sparsity", "0.75")),
}


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    return {name: ask() for name, (ask, _) in ASKED.items()}


@pytest.fixture(scope="module")
def run_dir(model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was trained by the function."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    wse_sim.train(model, density="0.5", batch_size=8, tokens="1e6", budget="2s", data="markov", out=folder)
    return folder


def without_times(content: dict[str, Any]) -> dict[str, Any]:
    """What is the same whenever it is asked: without how long the engine took here."""
    return {key: value for key, value in content.items() if key != "engine"}


@pytest.mark.parametrize("name", ASKED)
def test_to_dict_is_what_the_command_prints(results: dict[str, Any], name: str) -> None:
    assert without_times(results[name].to_dict()) == without_times(printed(name, *ASKED[name][1]))


@pytest.mark.parametrize("name", ["simulate", "compare"])
def test_a_configuration_takes_the_place_of_a_model_and_what_is_said_beside_it_wins(name: str) -> None:
    path = path_of("125m_rigl75")
    found = getattr(wse_sim, name)(config=path, num_csx=2).to_dict()
    assert without_times(found) == without_times(printed(name, "--config", path, "--num-csx", "2"))
    with pytest.raises(wse_sim.SpecError, match=r"^model and config are both given"):
        getattr(wse_sim, name)("111m", config=path)


def test_a_configuration_trains(tmp_path: Path) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(f"{TINY}\n[run]\nbatch_size = 8\nseq_len = 64\nn_steps = 4\n", encoding="utf-8")
    run = wse_sim.train(config=path, mode="dense", data="markov", out=tmp_path / "run")
    assert (run.measured.steps, run.target.batch_size) == (4, 8)
    assert run.command == f"wse_sim.train(config={str(path)!r}, mode='dense', data='markov')"
    with pytest.raises(wse_sim.SpecError, match=r"^init_from is given, but a configuration draws weights"):
        wse_sim.train(config=path, init_from="weights", mode="dense", out=tmp_path / "other")
    with pytest.raises(wse_sim.SpecError, match=r"^several densities or schedules are several runs"):
        wse_sim.train(config=path, schedule="linear,cosine", mode="dense", out=tmp_path / "other")


@pytest.mark.parametrize("name", ASKED)
def test_results_are_frozen_and_copies_are_equal(results: dict[str, Any], name: str) -> None:
    result = results[name]
    for twin in (copy.copy(result), copy.deepcopy(result), pickle.loads(pickle.dumps(result))):
        assert twin == result
    assert result != object()
    with pytest.raises((AttributeError, TypeError)):  # slots of dataclasses raise the latter in Python 3.11
        result.kind = "measured"


@pytest.mark.parametrize(
    ("name", "n_rows", "columns"),
    [
        ("simulate", 1, {"step_time_s", "energy_j", "cost_usd", "breakdown.linear", "wall_clock_parts_s.useful"}),
        ("compare", 4, {"way", "step_time_s", "memory.needed_bytes"}),
        ("plan", 60, {"num_csx", "density", "wall_clock_s", "cost_usd", "rejected_by"}),
        ("sweep", 6, {"num_csx", "csx.power_w", "tokens_per_s", "status", "reason"}),
        ("project", 0, set()),
    ],
)
def test_frames_have_a_row_for_each_and_units_in_their_columns(
    results: dict[str, Any], name: str, n_rows: int, columns: set[str]
) -> None:
    found = results[name].to_frame()
    assert (len(found), columns <= set(found.columns)) == (n_rows, True)


def test_a_frame_without_pandas_says_what_would_be_right(
    results: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(wse_sim.SpecError, match=r"pip --python .* install pandas"):
        results["simulate"].to_frame()


@pytest.mark.parametrize("name", ASKED)
def test_a_notebook_shows_a_table_with_kinds_and_no_colours(results: dict[str, Any], name: str) -> None:
    page = results[name]._repr_html_()
    assert page.count("<table") == page.count("</table>") == 1
    assert "simulated" in page or "projected" in page
    assert "#" not in page.replace("&#", "")
    assert "rgb" not in page
    line = repr(results[name])
    assert line.startswith("<")
    assert "\n" not in line


def test_a_comparison_in_a_notebook_has_its_headings(results: dict[str, Any]) -> None:
    page = results["compare"]._repr_html_()
    for heading in ("Memory", "Speed", "Run", "At equal time", "At equal loss"):
        assert re.search(rf'<th colspan="\d" [^>]*>{heading}</th>', page)


def test_the_package_offers_its_names_alone() -> None:
    offered = {name for name in dir(wse_sim) if not name.startswith("__")}
    assert offered == set(wse_sim.__all__) - {"__version__"}


def test_what_a_user_named_is_text_in_a_notebook() -> None:
    shape = replace(load_model("111m").shape, name="<script>alert(1)</script>")
    result = wse_sim.simulate(shape, batch_size=120)
    assert "<script>" not in result._repr_html_()
    assert "&lt;script&gt;" in result._repr_html_()
    assert result.model == shape.name


def test_a_model_is_a_name_a_path_a_shape_or_a_preset(model: str) -> None:
    preset = load_model("111m")
    times = {wse_sim.simulate(of).step_time_s for of in ("111m", "111M", preset)}
    assert len(times) == 1
    by_path, by_shape = (wse_sim.simulate(of, batch_size=8) for of in (Path(model), load_model(model).shape))
    assert by_path.step_time_s == by_shape.step_time_s
    with pytest.raises(wse_sim.SpecError, match="model is a int: name a preset"):
        wse_sim.simulate(13)  # type: ignore[arg-type]


def test_a_simulation_makes_the_trace_that_the_command_writes(results: dict[str, Any], tmp_path: Path) -> None:
    result = results["simulate"]
    call("simulate", *ASKED["simulate"][1], "--trace", tmp_path / "command.json")
    result.save_trace(tmp_path / "function.json")
    ours, theirs = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("function", "command"))
    assert ours == theirs
    assert ours == json.loads(json.dumps(result.trace()))


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: wse_sim.simulate("13c"), "unknown model '13c': did you mean '13b'?"),
        (lambda: wse_sim.simulate("13b", num_cs=4), "unknown parameter 'num_cs': did you mean 'num_csx'?"),
        (lambda: wse_sim.simulate("13b", num_csx="four"), "num_csx is 'four': write a whole number"),
        (lambda: wse_sim.simulate("13b", num_csx=2.5), "num_csx is 2.5: write a whole number"),
        (lambda: wse_sim.simulate("13b", density=[1]), r"density is \[1\]: write a number such as 0.25"),
        (lambda: wse_sim.simulate("13b", tokens="many"), "tokens is 'many': write a number such as 1e9"),
        (lambda: wse_sim.simulate("13b", density=0.5, sparsity=0.5), "density and sparsity are both given"),
        (lambda: wse_sim.simulate("13b", system_mtbf="x"), "system_mtbf is 'x': write a positive time"),
        (lambda: wse_sim.compare("13b", precision="int8"), "unknown precision 'int8'"),
        (lambda: wse_sim.compare("13b", recompute_gpu="some"), "unknown recompute_gpu 'some'"),
        (lambda: wse_sim.plan("13b", deadline=10), "^deadline is '10': write a positive number with its unit"),
        (lambda: wse_sim.plan("13b", num_csx="1,x"), "num_csx is '1,x': write whole numbers"),
        (lambda: wse_sim.sweep("13b", num_csxs=[1]), "unknown parameter 'num_csxs': did you mean 'num_csx'?"),
        (lambda: wse_sim.sweep("13b", set={"csx.clock": 1}), "unknown key 'csx.clock'"),
        (lambda: wse_sim.sweep("13b", engine="fast"), "unknown engine 'fast'"),
        (lambda: wse_sim.sweep("13b", budget="3m"), "budget is for runs that are trained: give train too"),
        (lambda: wse_sim.project(model="13b", law="chinchilla"), "has to be fitted to runs"),
        (lambda: wse_sim.train("13b", mode="fast"), "unknown mode 'fast': known are auto, dense, full, proxy"),
        (lambda: wse_sim.train(), "^model is missing"),
        (
            lambda: wse_sim.simulate("13b", electricity_usd_per_kwh=0.1),
            "^electricity_usd_per_kwh .*: use price_basis pur",
        ),
        (lambda: wse_sim.compare("13b", layouts="-1"), "^layouts is -1: it must be at least 0"),
        (lambda: wse_sim.simulate("111m", tokens=257), "^tokens is 257: a run has at least one step, 245,760 tokens"),
        (lambda: wse_sim.compare("13b", tp=0), "^tp is 0: it must be at least 1"),
        (lambda: wse_sim.project(runs=["run"], model="13b"), "unknown parameter 'runs'"),
        (lambda: wse_sim.load_run("/no/such/folder"), "/no/such/folder: there is no such folder"),
    ],
)
def test_wrong_input_raises_the_sentence_of_the_command_with_keywords(ask: Callable[[], Any], message: str) -> None:
    with pytest.raises(wse_sim.SpecError, match=message):
        ask()


def test_a_trace_names_its_own_keywords_and_an_option_without_one_stays(results: dict[str, Any]) -> None:
    with pytest.raises(wse_sim.SpecError, match=r"a larger max_bytes or fewer steps would be right"):
        results["simulate"].trace(steps=2, max_bytes=1000)
    said = "wse-sim transfer --config reads it; --max-cost or --json, --nproc_per_node=2"
    assert in_keywords(said, by_option(["config", "max_cost", "nproc"])) == said.replace("--max-cost", "max_cost")


def test_a_run_is_the_same_from_its_folder_and_goes_into_frames(run_dir: Path) -> None:
    run = wse_sim.load_run(run_dir)
    assert run.to_dict() == json.loads((run_dir / "summary.json").read_text())
    assert run.command.startswith("wse_sim.train(")
    assert "density='0.5'" in run.command
    found = run.to_frame()
    assert list(found["step"]) == [row.step for row in run.rows]
    assert found["val_loss"].iloc[-1] == run.measured.val_loss
    assert run.report.is_file()
    assert copy.deepcopy(run) == run
    assert "measured" in run._repr_html_()
    assert f": the proxy's validation loss {run.measured.val_loss:.4f} nats/byte after" in repr(run)


def test_a_model_that_has_no_file_is_kept_in_the_folder_of_its_run(model: str, tmp_path: Path) -> None:
    run = wse_sim.train(
        load_model(model).shape, batch_size=8, tokens=1e6, mode="dense", steps=2, data="markov", out=tmp_path / "run"
    )
    assert read_job(tmp_path / "run").preset.shape == load_model(model).shape
    assert run.measured.steps == 2
    with pytest.raises(wse_sim.SpecError, match="holds another run"):
        wse_sim.train(load_model(model).shape, batch_size=8, tokens=1e6, out=tmp_path / "run")
    with pytest.raises(wse_sim.SpecError, match="no recipe"):
        wse_sim.train(load_model(model).shape, out=tmp_path / "nothing is left")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("several", [{"density": "1,0.5"}, {"schedule": "linear,cosine_10x"}])
def test_several_runs_are_not_one(model: str, several: dict[str, str]) -> None:
    for described in ({"model": model, "batch_size": 8}, {"config": path_of("125m_rigl75")}):
        with pytest.raises(wse_sim.SpecError, match=r"sweep\(\.\.\., train=True\) trains them"):
            wse_sim.train(**described, **several)  # type: ignore[arg-type]


def test_a_sweep_tells_whoever_watches() -> None:
    class Counted(Unwatched):
        n_came = 0

        def came(self, n_items: int = 1, *, work: float | None = None, note: str = "") -> None:
            self.n_came += n_items

    watch = Counted()
    best = wse_sim.sweep("111m", num_csx=[1, 2], watch=watch).best_first("step_time_s")
    assert watch.n_came == len(best) == 2
    assert best[0]["num_csx"] == 2


# Of a command, but not of the function: what is printed and written, and what a result has methods for.
ONLY_COMMANDS = {
    "simulate": {"out", "verify", "tornado", "trace", "trace_steps", "trace_max_bytes"},
    "compare": {"run_dir", "tornado", "out"},
    "plan": {"out"},
    "sweep": {"sort_by"},
    "project": {"plot"},
    "train": {"verify_resume"},
}
RENAMED = {
    "sweep": {"is_training": "train", "n_processes": "processes", "assignments": "set"},
    "project": {"run_dirs": "runs"},
}
ONLY_FUNCTIONS = {"watch", "on_step"}


@pytest.mark.parametrize("name", ONLY_COMMANDS)
def test_functions_take_the_options_of_their_commands_with_the_same_defaults(name: str) -> None:
    context = main.make_context("wse-sim", [name], resilient_parsing=True)
    command = main.get_command(context, name)
    assert command is not None
    options = {param.name: param for param in command.params if param.expose_value and param.name != "as_json"}
    renamed = {RENAMED.get(name, {}).get(str(key), str(key)): option for key, option in options.items()}
    parameters = inspect.signature(getattr(wse_sim, name)).parameters
    assert set(renamed) - ONLY_COMMANDS[name] == set(parameters) - ONLY_FUNCTIONS
    for key in set(parameters) - ONLY_FUNCTIONS - {"model", "runs"}:
        default = renamed[key].to_info_dict()["default"]
        theirs = None if default == () or "UNSET" in str(default).upper() else default
        assert parameters[key].default == theirs or (theirs is False and parameters[key].default is None), key


def test_importing_the_package_imports_nothing_heavy_and_names_everything() -> None:
    code = (
        "import sys, wse_sim; assert set(wse_sim.__all__) <= set(dir(wse_sim))\n"
        "assert not {'numpy', 'msgspec', 'click', 'rich', 'torch'} & set(sys.modules), sys.modules.keys()\n"
        "wse_sim.simulate; assert 'torch' not in sys.modules and 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert all(getattr(wse_sim, name) is not None for name in wse_sim.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'simulat'"):
        _ = wse_sim.simulat  # type: ignore[attr-defined]
