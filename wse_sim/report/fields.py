"""What a field of a result means, by name; the words are in the files fields*.toml beside this one."""

import re
from difflib import get_close_matches
from functools import cache
from importlib.resources import files

import msgspec

from wse_sim.errors import SpecError
from wse_sim.spec.reading import convert, read_toml

# Of each table: what its fields are part of, and what stands before their names there.
_PLACES = {
    "simulation": ("simulation", ""),
    "breakdown": ("simulation", "breakdown."),
    "matrices": ("simulation", "matrices."),
    "wall_clock_parts_s": ("simulation", "wall_clock_parts_s."),
    "checkpoint_loss": ("simulation", "checkpoint_loss."),
    "cost_parts_usd": ("simulation", "cost_parts_usd."),
    "sensitivity": ("simulation", "sensitivity."),
    "engine": ("simulation", "engine."),
    "gpu": ("GPU cluster", ""),
    "gpu_breakdown": ("GPU cluster", "breakdown."),
    "gpu_memory_bytes": ("GPU cluster", "memory_bytes."),
    "comparison": ("comparison", ""),
    "written_comparison": ("comparison", ""),
    "ratios": ("comparison", "ratios."),
    "ratio": ("comparison", "ratio."),
    "gpus_per_csx": ("comparison", "gpus_per_csx."),
    "iso_time": ("comparison", "iso_time."),
    "iso_loss": ("comparison", "iso_loss."),
    "loss_curves": ("comparison", "loss_curves."),
    "layouts": ("comparison", "layouts."),
    "way": ("way of a comparison", ""),
    "here_way": ("way of a comparison", ""),
    "here_breakdown": ("way of a comparison", "breakdown."),
    "memory": ("way of a comparison", "memory."),
    "projection": ("loss projection", ""),
    "plan": ("plan", ""),
    "written_plan": ("plan", ""),
    "constraints": ("plan", "constraints."),
    "plan_row": ("configuration of a plan", ""),
    "plan_tornado": ("plan", "tornado."),
    "plan_wall": ("wall that rejects configurations of a plan", ""),
    "candidate": ("row of candidates.csv of a plan", ""),
    "sweep_table": ("sweep", ""),
    "sweep_row": ("sweep", "rows."),
    "run_row": ("row of run.jsonl", ""),
    "summary": ("summary of a run", ""),
    "layer_masks": ("summary of a run", "layer_masks."),
    "written_simulation": ("simulation.json", ""),
    "target": ("summary of a run", "target."),
    "target_hyperparameters": ("summary of a run", "target.hyper_parameters."),
    "role_hyperparameters": ("summary of a run", "target.hyper_parameters.roles."),
    "run_choice": ("summary of a run", "choice."),
    "host_machine": ("summary of a run", "choice.machine."),
    "measured": ("summary of a run", "measured."),
    "fingerprint": ("summary of a run", "measured.corpus."),
    "prepared_tokens": ("tokens of text", ""),
    "projected": ("summary of a run", "projected."),
    "export": ("exported model", ""),
    "run_comparison": ("comparison of runs", ""),
    "compared_run": ("comparison of runs", "rows."),
    "resume_proofs": ("proof of resuming", ""),
    "resume_proof": ("proof of resuming", "runs."),
    "executed_step": ("executed step", ""),
    "layer_comparison": ("executed step", "layers."),
    "validation": ("validation", ""),
    "validation_row": ("validation", "rows."),
    "validation_errors": ("validation", "errors."),
    "accuracy": ("validation", "errors."),
    "fitted_constant": ("validation", "fitted_constants."),
    "calibrated": ("calibration", ""),
    "measured_runs": ("calibration", "measurements."),
    "own_row": ("calibration", "rows."),
    "own_constant": ("calibration", "constants."),
    "fit_errors": ("calibration", "errors."),
    "projected_loss": ("projection from runs", ""),
    "projection_law": ("projection from runs", "law."),
    "projection_row": ("projection from runs", "rows."),
    "advice": ("projection from runs", "recommended."),
    "schedules": ("schedules", ""),
    "averaged_tensors": ("schedules", "tensors."),
    "schedule_figures": ("schedules", "schedules."),
    "listed_schedules": ("list of schedules", ""),
    "listed_schedule": ("list of schedules", "schedules."),
    "estimate": ("figure over seeds", ""),
    "transfer": ("transfer study", ""),
    "parametrization_result": ("transfer study", "results."),
    "value_result": ("transfer study", "results.values."),
    "rate_result": ("transfer study", "results.values.rates."),
    "coordinate_check": ("coordinate check", ""),
    "judged_slope": ("coordinate check", "slopes."),
    "tested_claims": ("tested claims", ""),
    "record": ("tested claims", "claims."),
    "table": ("tested claims", "claims.tables."),
    "axes": ("tested claims", "claims.figure."),
    "line": ("tested claims", "claims.figure.curves."),
    "machine": ("tested claims", "claims.machine."),
    "listed_claims": ("list of claims", ""),
    "listed_claim": ("list of claims", "claims."),
    "explained_fields": ("explained fields", ""),
    "field": ("explained fields", "fields."),
    "explained_constants": ("explained constants", ""),
    "explained_constant": ("explained constants", "constants."),
    "sourced": ("constant", ""),
    "explanation": ("explained parameterization", ""),
    "factors": ("explained parameterization", "factors."),
    "rule_text": ("explained parameterization", "rules."),
    "multiplier": ("explained parameterization", "multipliers."),
    "tensor_row": ("explained parameterization", "tensors."),
    "explained_configuration": ("explained configuration", ""),
    "understood_key": ("explained configuration", "understood."),
    "ignored_key": ("explained configuration", "ignored."),
    "listed": ("lists", ""),
    "model_row": ("lists", "models."),
    "system_row": ("lists", "systems."),
    "gpu_row": ("lists", "gpus."),
    "software_row": ("lists", "gpu-software."),
    "release_row": ("lists", "releases."),
    "benchmark": ("benchmark", ""),
    "command_line_speed": ("speed of the command line", ""),
    "process_time": ("speed of the command line", "processes."),
    "engine_speeds": ("speed of the engines", ""),
    "bench_machine": ("speed of the engines", "machine."),
    "timed_step": ("speed of the engines", "step."),
    "engine_speed": ("speed of the engines", "engines."),
    "engine_memory": ("speed of the engines", "memory."),
    "bench_goal": ("goals of a benchmark", "goals."),
    "plan_speeds": ("speed of plans", ""),
    "closed_form_speed": ("speed of plans", "closed_form."),
    "table_speed": ("speed of plans", "closed_form_sweep."),
    "gpu_speed": ("speed of plans", "gpus."),
    "event_sweep_speed": ("speed of plans", "event_sweep."),
    "plan_speed": ("speed of plans", "plan."),
    "trainer_speed": ("speed of the trainer", ""),
    "step_speed": ("speed of the trainer", "steps."),
    "streaming_speeds": ("speed of streaming", ""),
    "streaming_speed": ("speed of streaming", "speeds."),
    "cost_of_clip": ("speed of streaming", "costs."),
}
# Types whose table is not called as they are, or that share fields: what a later table says goes before.
_TABLES = {
    "SimulationResult": ("simulation",),
    "EngineRun": ("engine",),
    "MatrixWork": ("matrices",),
    "LayerMask": ("layer_masks",),
    "WrittenSimulation": ("written_simulation",),
    "GpuResult": ("simulation", "gpu"),
    "WaferWay": ("simulation", "way"),
    "GpuWay": ("simulation", "gpu", "way"),
    "HereWay": ("simulation", "gpu", "way", "here_way"),
    "GpuLayout": ("gpu", "layouts"),
    "LossCurve": ("loss_curves",),
    "LossProjection": ("projection",),
    "DaysSensitivity": ("plan_tornado",),
    "CommandLineSpeed": ("benchmark", "command_line_speed"),
    "EngineSpeeds": ("benchmark", "engine_speeds"),
    "PlanSpeeds": ("benchmark", "plan_speeds"),
    "TrainerSpeed": ("benchmark", "trainer_speed"),
    "StreamingSpeeds": ("benchmark", "streaming_speeds"),
    "Row": ("run_row",),
    "Grid": ("explained_constant",),
}
# Objects that lack those of their keys which say nothing of the run, by the tables of the keys.
_PARTIAL = ("cost_parts_usd", "here_breakdown")
_INNER_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


class _Meaning(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: str
    definition: str
    unit: str = ""
    formula: str = ""


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One reported field.

    Parameters
    ----------
    where :
        What it is a field of.
    name :
        As in the JSON; keys of an inner object after a point.
    unit :
        "" for none.
    kind :
        `input`, `measured`, `simulated` or `projected`.
    formula :
        "" where the definition says all.
    """

    where: str
    name: str
    unit: str
    kind: str
    definition: str
    formula: str


@cache
def field_tables() -> dict[str, dict[str, Field]]:
    """Every field that is reported, by table and key."""
    meanings: dict[str, dict[str, _Meaning]] = {}
    for file in sorted(files("wse_sim.report").iterdir(), key=lambda file: file.name):
        if file.name.startswith("fields") and file.name.endswith(".toml"):
            tables = convert(read_toml(file), dict[str, dict[str, _Meaning]], f"report/{file.name}")
            assert not tables.keys() & meanings.keys(), f"{file.name}: a table stands in one file"
            meanings |= tables
    assert meanings.keys() == _PLACES.keys(), f"without table or place: {sorted(meanings.keys() ^ _PLACES.keys())}"
    return {
        table: {
            name: Field(where=where, name=prefix + name, **msgspec.structs.asdict(meaning))
            for name, meaning in meanings[table].items()
        }
        for table, (where, prefix) in _PLACES.items()
    }


@cache
def all_fields() -> tuple[Field, ...]:
    """Every field that is reported."""
    return tuple(field for fields in field_tables().values() for field in fields.values())


def fields_of(cls: type) -> dict[str, Field]:
    """The fields of a struct, a dataclass or a typed dictionary that have an entry, by key."""
    tables = field_tables()
    found: dict[str, Field] = {}
    for of_class in reversed(cls.__mro__):
        name = of_class.__name__
        for table in _TABLES.get(name, (_INNER_CAPITAL.sub("_", name).lower(),)):
            found |= tables.get(table, {})
    return found


def inner_fields(field: Field) -> dict[str, Field]:
    """The fields of the object that `field` is, by key; nothing where its keys are not fixed."""
    prefix = f"{field.name}."
    inner = (other for other in all_fields() if other.where == field.where and other.name.startswith(prefix))
    return {other.name.removeprefix(prefix): other for other in inner}


def may_lack_keys(field: Field) -> bool:
    """Whether the object that `field` is has some of its inner fields alone."""
    return (field.where, f"{field.name}.") in [_PLACES[table] for table in _PARTIAL]


def explained(name: str) -> tuple[Field, ...]:
    """All fields called `name`, and behind them the keys of inner objects that are called so.

    Raises
    ------
    SpecError
        When there is none; the message names the nearest one.
    """
    whole = [field for field in all_fields() if field.name == name]
    named = (*whole, *(field for field in all_fields() if field.name.endswith(f".{name}")))
    if not named:
        near = get_close_matches(name, [field.name for field in all_fields()], n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise SpecError(f"unknown field {name!r}: {hint}`wse-sim explain` lists them all")
    return named
