"""Every reported field is explained, and nothing is explained that is not reported."""

import dataclasses
import json
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from tests.cli.documents import screen
from tests.report.run_directory import simulation
from training.step_extent import StepPart
from training.sweep import trained_sweep, trained_vocabulary
from wse_sim.errors import SpecError
from wse_sim.gpu.roofline import GpuResult, simulate_gpu
from wse_sim.laws.cerebras_gpt import LossProjection
from wse_sim.planning.constraints import Constraints
from wse_sim.planning.outcomes import WALLS
from wse_sim.planning.result import DaysSensitivity, PlanRow, WrittenPlan
from wse_sim.report.comparison import (
    GpuLayout,
    GpusPerCsx,
    GpuWay,
    HereWay,
    IsoLoss,
    IsoTime,
    LossCurve,
    Memory,
    Ratio,
    Ratios,
    WaferWay,
    WrittenComparison,
)
from wse_sim.report.fields import all_fields, explained
from wse_sim.report.metrics import SimulationResult
from wse_sim.report.sensitivity import Sensitivity
from wse_sim.schedule.block import MatrixWork
from wse_sim.spec.bill import bill
from wse_sim.spec.economics import PriceBasis, load_economics
from wse_sim.spec.load import load_model
from wse_sim.sweeps.closed_form import closed_form_sweep
from wse_sim.sweeps.keys import simulated_vocabulary

RUN_ROW = {"step", "tokens", "loss", "bits_per_byte", "lr", "grad_norm", "density", "host_s", "wafer_s", "gpu_s"}


def names(where: str) -> set[str]:
    return {field.name for field in all_fields() if field.where == where}


def cost_parts(basis: PriceBasis) -> dict[str, float]:
    return bill(
        dataclasses.replace(load_economics(), price_basis=basis),
        time_s=1.0,
        n_units=1,
        power_w=1.0,
        rental_usd_per_h=1.0,
        purchase_usd=1.0,
    ).parts_usd


def test_every_field_of_a_simulation_is_explained_and_no_entry_is_stale() -> None:
    result = simulation().result
    maps = ("breakdown", "wall_clock_parts_s", "checkpoint_loss", "engine")
    inner = {f"{name}.{key}" for name in maps for key in getattr(result, name)}
    inner |= {f"cost_parts_usd.{part}" for basis in get_args(PriceBasis) for part in cost_parts(basis)}
    inner |= {f"matrices.{field.name}" for field in dataclasses.fields(MatrixWork)}
    inner |= {f"sensitivity.{field.name}" for field in dataclasses.fields(Sensitivity)}
    assert names("simulation") == {field.name for field in dataclasses.fields(SimulationResult)} | inner
    assert set(result.as_dict()) <= names("simulation")


@pytest.mark.parametrize(
    ("where", "struct"),
    [
        ("loss projection", LossProjection),
        ("configuration of a plan", PlanRow),
    ],
)
def test_every_field_of_a_struct_is_explained_and_no_entry_is_stale(where: str, struct: type[msgspec.Struct]) -> None:
    assert names(where) == {field.name for field in msgspec.structs.fields(struct)}


def test_fields_of_a_gpu_cluster_are_explained_as_its_own_or_as_those_of_a_simulation() -> None:
    result = simulate_gpu(load_model("111m").shape, gpu="h100", num_gpus=8, batch_size=64)
    inner = {f"{name}.{key}" for name in ("breakdown", "memory_bytes") for key in getattr(result, name)}
    assert names("GPU cluster") - fields_of(GpuResult) == inner
    assert fields_of(GpuResult) <= names("GPU cluster") | names("simulation")


def test_every_field_of_a_plan_is_explained_and_no_entry_is_stale() -> None:
    inner = {f"tornado.{name}" for name in fields_of(DaysSensitivity)}
    inner |= {f"constraints.{name}" for name in fields_of(Constraints)}
    assert names("plan") == fields_of(WrittenPlan) | inner


def fields_of(*structs: type[msgspec.Struct]) -> set[str]:
    return {field.name for struct in structs for field in msgspec.structs.fields(struct)}


def test_every_field_of_a_comparison_is_explained_and_no_entry_is_stale() -> None:
    inner = {"ratios": Ratios, "ratio": Ratio, "gpus_per_csx": GpusPerCsx, "iso_time": IsoTime, "iso_loss": IsoLoss}
    inner["loss_curves"] = LossCurve
    expected = {f"{name}.{field}" for name, struct in inner.items() for field in fields_of(struct)}
    assert names("comparison") == fields_of(WrittenComparison) | expected | {"layouts.wall"}
    assert fields_of(GpuLayout) <= names("GPU cluster") | {"wall"}


def test_fields_of_a_way_are_explained_as_its_own_or_as_those_of_its_side_alone() -> None:
    inner = {f"memory.{field}" for field in fields_of(Memory)} | {f"breakdown.{part}" for part in get_args(StepPart)}
    assert inner <= names("way of a comparison")
    own = names("way of a comparison") - inner
    assert own <= fields_of(WaferWay, GpuWay, HereWay)
    assert fields_of(WaferWay) <= own | names("simulation")
    assert fields_of(GpuWay) <= own | names("simulation") | names("GPU cluster")
    assert fields_of(HereWay) <= own | names("simulation") | names("GPU cluster")


def test_every_column_of_a_run_is_explained() -> None:
    assert names("row of run.jsonl") == RUN_ROW | {"val_loss", "val_bits_per_byte", "n_skipped"}


def test_every_column_of_a_sweep_is_explained_and_no_entry_is_stale() -> None:
    simulated = closed_form_sweep([{"model": "111m"}, {"model": "111m", "gpu": "h100", "num_gpus": 8}])
    keys = {*simulated_vocabulary().readers, *trained_vocabulary().readers}
    columns = {*simulated.columns, *trained_sweep([]).columns, *(key for key in keys if "." not in key)}
    assert all(explained(column) for column in columns)
    assert {name.removeprefix("rows.") for name in names("sweep") if name.startswith("rows.")} <= columns


def test_every_column_of_the_tables_of_a_plan_is_explained(tmp_path: Path) -> None:
    words = ("--model", "111m", "--deadline", "30d", "--num-csx", "1", "--batch-size", "120", "--density", "1")
    screen("plan", *words, "--out", tmp_path)
    front, candidates = (header(tmp_path / file) for file in ("front.csv", "candidates.csv"))
    assert front == names("configuration of a plan") - {"missed"}
    assert candidates - front == names("row of candidates.csv of a plan")
    assert set(json.loads((tmp_path / "plan.json").read_text())["axes"]) <= front


def header(table: Path) -> set[str]:
    return set(table.read_text().partition("\n")[0].split(","))


def test_every_wall_of_a_plan_is_explained_and_no_entry_is_stale() -> None:
    assert names("wall that rejects configurations of a plan") == {wall for wall in WALLS if wall}


def test_every_entry_says_what_it_is() -> None:
    for field in all_fields():
        assert field.kind in ("input", "measured", "simulated", "projected")
        assert field.definition.endswith(".")


def test_names_that_end_in_a_unit_have_that_unit() -> None:
    for field in all_fields():
        if field.name.endswith("_s") and not field.name.endswith("per_s"):
            assert field.unit == "s", field.name


def test_inner_keys_are_found_without_the_name_of_their_object() -> None:
    assert [field.name for field in explained("weight_wait")] == ["breakdown.weight_wait"]


def test_a_field_stands_before_the_inner_keys_of_its_name() -> None:
    found = [(field.where, field.name) for field in explained("engine")]
    assert found[0] == ("simulation", "engine")
    assert {("configuration of a plan", "engine"), ("sweep", "rows.engine")} < set(found)


def test_an_unknown_field_is_refused_with_the_nearest() -> None:
    with pytest.raises(SpecError, match="did you mean 'step_time_s'"):
        explained("step_time")
