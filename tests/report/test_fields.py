"""Every reported field is explained, and nothing is explained that is not reported."""

import dataclasses

import msgspec
import pytest

from tests.report.run_directory import simulation
from wse_sim.errors import SpecError
from wse_sim.gpu.roofline import GpuResult
from wse_sim.laws.cerebras_gpt import LossProjection
from wse_sim.plan.result import DaysSensitivity, Plan, PlanRow
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

RUN_ROW = {"step", "tokens", "loss", "bits_per_byte", "lr", "grad_norm", "density", "host_s", "wafer_s", "gpu_s"}


def names(where: str) -> set[str]:
    return {field.name for field in all_fields() if field.where == where}


def test_every_field_of_a_simulation_is_explained_and_no_entry_is_stale() -> None:
    result = simulation().result
    maps = ("breakdown", "wall_clock_parts_s", "checkpoint_loss", "engine")
    inner = {f"{name}.{key}" for name in maps for key in getattr(result, name)}
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
    assert names("GPU cluster") <= fields_of(GpuResult) <= names("GPU cluster") | names("simulation")


def test_every_field_of_a_plan_is_explained_and_no_entry_is_stale() -> None:
    inner = {f"tornado.{field.name}" for field in msgspec.structs.fields(DaysSensitivity)}
    assert names("plan") == {field.name for field in msgspec.structs.fields(Plan)} | inner


def fields_of(*structs: type[msgspec.Struct]) -> set[str]:
    return {field.name for struct in structs for field in msgspec.structs.fields(struct)}


def test_every_field_of_a_comparison_is_explained_and_no_entry_is_stale() -> None:
    inner = {"ratios": Ratios, "ratio": Ratio, "gpus_per_csx": GpusPerCsx, "iso_time": IsoTime, "iso_loss": IsoLoss}
    inner["loss_curves"] = LossCurve
    expected = {f"{name}.{field}" for name, struct in inner.items() for field in fields_of(struct)}
    assert names("comparison") == fields_of(WrittenComparison) | expected | {"layouts.wall"}
    assert fields_of(GpuLayout) <= names("GPU cluster") | {"wall"}


def test_fields_of_a_way_are_explained_as_its_own_or_as_those_of_its_side_alone() -> None:
    own = names("way of a comparison") - {f"memory.{field}" for field in fields_of(Memory)}
    assert own <= fields_of(WaferWay, GpuWay, HereWay)
    assert fields_of(WaferWay) <= own | names("simulation")
    assert fields_of(GpuWay) <= own | names("simulation") | names("GPU cluster")
    assert fields_of(HereWay) <= own | names("simulation") | names("GPU cluster")


def test_every_column_of_a_run_is_explained() -> None:
    assert names("row of run.jsonl") == RUN_ROW | {"val_loss", "val_bits_per_byte"}


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


def test_an_unknown_field_is_refused_with_the_nearest() -> None:
    with pytest.raises(SpecError, match="did you mean 'step_time_s'"):
        explained("step_time")
