"""The same as `wse_sim.cli.printed` for studies, claims and benchmarks."""

from dataclasses import dataclass
from typing import Literal, NotRequired, TypedDict

Measured = Literal["measured"]

BenchMachine = TypedDict(
    "BenchMachine",
    {
        "python": str,
        "wse-sim": str,
        "numba": str,
        "numpy": str,
        "simpy": str,
        "cpu": str,
        "cpus": int | None,
        "load_average": float | None,
    },
)
BenchMachine.__doc__ = "The machine, and the versions of what is timed on it."


class BenchGoal(TypedDict):
    """A goal, and whether it is met."""

    goal: str
    unit: str
    at_least: NotRequired[float]
    at_most: NotRequired[float]
    measured: float
    is_met: bool


def schedules() -> type:
    from training.schedules.ema import EmaSummary

    class AveragedTensors(TypedDict):
        """Tensors that share a learning rate and a weight decay, and how far back AdamW averages their updates."""

        name: str
        peak_lr: float
        weight_decay: float
        timescale_steps: float
        timescale: float

    @dataclass(frozen=True, slots=True, kw_only=True)
    class ScheduleFigures(EmaSummary):
        """One schedule: its learning rates, and what the final weights are an average of."""

        schedule: str
        lr_first: float
        lr_largest: float
        lr_last: float

    class Schedules(TypedDict):
        """Schedules in one run; averages are those of its first group of tensors."""

        run: str
        n_steps: int
        n_warmup_steps: int
        tensors: list[AveragedTensors]
        schedules: list[ScheduleFigures]

    return Schedules


def schedules_list() -> type:
    class ListedSchedule(TypedDict):
        """A schedule by name."""

        name: str
        meaning: str
        parameters: str

    class ListedSchedules(TypedDict):
        """Every schedule, with its parameters."""

        schedules: list[ListedSchedule]

    return ListedSchedules


def transfer() -> type:
    from training.transfer import Study
    from training.transfer_result import ParametrizationResult

    class Transfer(TypedDict):
        """Whether the best learning rate stays where it is when width, density or depth changes."""

        kind: Measured
        study: Study
        results: list[ParametrizationResult]
        rule: str
        caveats: list[str]

    return Transfer


def coord_check() -> type:
    from msgspec import defstruct

    from training.coord_check import CoordCheck
    from training.coord_slopes import Slope

    # Not a class statement: the column takes the place of the method of that name.
    judged = defstruct("JudgedSlope", [("is_flat", bool)], bases=(Slope,), frozen=True, kw_only=True)
    judged.__doc__ = Slope.__doc__

    class CoordinateCheck(TypedDict):
        """Whether activations, and what training does to them, keep their size over width, density or depth."""

        kind: Measured
        setup: CoordCheck
        data: str
        tokenizer: str
        limit: float
        is_flat: dict[str, bool]
        slopes: list[judged]  # type: ignore[valid-type]

    return CoordinateCheck


def reproduce() -> type:
    from training.claims.record import Record

    class TestedClaims(TypedDict):
        """Claims of the papers, and what testing them here came to."""

        claims: list[Record]

    return TestedClaims


def reproduce_list() -> type:
    from training.claims.record import ListedClaim

    class ListedClaims(TypedDict):
        """Every claim, with the verdict that the folder of pages holds."""

        claims: list[ListedClaim]

    return ListedClaims


def bench_cli() -> type:
    class ProcessTime(TypedDict):
        """Wall time of one command as a whole process."""

        command: str
        runs: int
        median_s: float
        min_s: float
        max_s: float

    class CommandLineSpeed(TypedDict):
        """How long whole processes of the command line take here."""

        kind: Measured
        cores: int | None
        processes: list[ProcessTime]

    return CommandLineSpeed


def bench_trainer() -> type:
    from training.speed import StepSpeed

    class TrainerSpeed(TypedDict):
        """How fast training steps are here, dense and masked."""

        kind: Measured
        steps: list[StepSpeed]

    return TrainerSpeed


def bench_streaming() -> type:
    from training.streaming.speed import StepCost, StreamingSpeed

    class CostOfClip(StepCost, frozen=True, kw_only=True):
        """Processor seconds of a step as a line over its tokens, with one way to clip."""

        clip: float | str

    class StreamingSpeeds(TypedDict):
        """What steps of the streaming executor take here."""

        kind: Measured
        model: str
        density: float
        seq_len: int
        n_threads: int
        cpu: str
        torch_version: str
        speeds: list[StreamingSpeed]
        costs: list[CostOfClip]

    return StreamingSpeeds


def bench_engine() -> type:
    class TimedStep(TypedDict):
        """The step that is timed, and how many tasks it is."""

        model: NotRequired[str]
        system: NotRequired[str]
        num_csx: NotRequired[int]
        n_microbatches: int
        n_tiles: int
        tasks: int

    class EngineSpeed(TypedDict):
        """One engine: the best of its calls, and how many times as fast as others it is, per task."""

        engine: str
        tasks: int
        cpu_s: float
        tasks_per_s: float
        times_reference: NotRequired[float]
        times_lean: NotRequired[float]
        times_cpp: NotRequired[float]

    class EngineMemory(TypedDict):
        """Peak memory of one engine."""

        engine: str
        one_step_bytes: int
        bytes_per_further_step: float

    class EngineSpeeds(TypedDict):
        """How fast the engines are here, against each other."""

        kind: Measured
        machine: BenchMachine
        runs: int
        step: TimedStep
        simpy_step: TimedStep
        engines: list[EngineSpeed]
        growth: list[EngineSpeed]
        memory: list[EngineMemory]
        goals: list[BenchGoal]

    return EngineSpeeds


def bench_plan() -> type:
    from wse_sim.cli.plan_speed import ClosedFormSpeed, EventSweepSpeed, GpuSpeed, PlanSpeed, TableSpeed

    class PlanSpeeds(TypedDict):
        """How fast configurations are priced and simulated here."""

        kind: Measured
        machine: BenchMachine
        runs: int
        closed_form: ClosedFormSpeed
        closed_form_sweep: TableSpeed
        gpus: GpuSpeed
        event_sweep: EventSweepSpeed
        plan: PlanSpeed
        goals: list[BenchGoal]

    return PlanSpeeds
