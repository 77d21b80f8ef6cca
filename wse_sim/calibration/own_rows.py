"""A user's measured runs as rows of a fit, and the constants that they may fix."""

from dataclasses import dataclass

from wse_sim.calibration.linear import Row
from wse_sim.calibration.measurements import Line, Measurements
from wse_sim.calibration.rows import GpuRate, WaferRate
from wse_sim.calibration.wafer import FITTED
from wse_sim.gpu.layout import LAYOUT_FIELDS, Job, Layout
from wse_sim.gpu.roofline import DEFAULT_SOFTWARE, gpu_job
from wse_sim.gpu.search import known_to_run
from wse_sim.gpu.spec import PRECISIONS, load_gpu, load_software
from wse_sim.gpu.step import total
from wse_sim.spec.cluster import Cluster, load_cluster
from wse_sim.spec.load import load_model
from wse_sim.spec.run import Run
from wse_sim.spec.sourced import Sourced


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnRuns:
    """Measured runs of one kind of system, or of one kind of GPU with one program.

    Parameters
    ----------
    labels :
        Of the rows: what ran on what.
    measured :
        Their rates, in `unit`.
    base :
        What the fit starts from.
    constants :
        Of `base`, by name: those that may be free.
    usual :
        Names of those that are free unless others are asked for, the one that matters most first.
    doubts :
        What does not look right about a row, which was measured all the same: sentences.
    """

    measurements: Measurements
    rows: list[Row]
    labels: list[str]
    measured: list[float]
    unit: str
    base: Cluster | Job
    constants: dict[str, Sourced]
    usual: tuple[str, ...]
    doubts: tuple[str, ...] = ()

    @property
    def base_name(self) -> str:
        if isinstance(self.base, Cluster):
            return self.base.csx.name
        return f"{self.base.gpu.name} with {self.base.software.name}"


def own_runs(measurements: Measurements, base: str | None = None) -> OwnRuns:
    """The measured runs, as rows of a fit.

    Parameters
    ----------
    base :
        System or GPU to start from, a name in the data or a file; None = the one in the measurements' own column.

    Raises
    ------
    SpecError
        When a line is wrong, or lines are of several kinds of system, GPU or program; the message names the line.
    """
    if measurements.side == "wafer":
        return _on_wafers(measurements, base)
    return _on_gpus(measurements, base)


def _on_wafers(measurements: Measurements, base: str | None) -> OwnRuns:
    system = measurements.same_in_all("system")
    load_cluster(base or system, 1)  # refuses one that there is not, before any line is blamed
    rows, labels = [], []
    for line in measurements.lines:
        with measurements.at(line):
            row = _wafer_rate(line, base or system)
            row.near({})  # refuses what does not fit onto the cluster
        rows.append(row)
        run = row.run
        density = "" if run.density == 1 else f" at {run.density:g}"
        labels.append(f"{run.shape.name}{density}, {run.num_csx} {system}, {run.batch_size} × {run.seq_len}")
    cluster = rows[0].cluster
    return OwnRuns(
        measurements=measurements,
        rows=[*rows],
        labels=labels,
        measured=[row.samples_per_s for row in rows],
        unit="sequences/s",
        base=cluster,
        constants=cluster.constants,
        usual=FITTED,
    )


def _wafer_rate(line: Line, system: str) -> WaferRate:
    given = line.values
    shape = load_model(given["model"]).shape
    seq_len, batch_size = given.get("seq_len", shape.seq_len), given["batch_size"]
    run = Run(
        shape=shape,
        system=system,
        num_csx=given["num_csx"],
        batch_size=batch_size,
        microbatch=given.get("microbatch"),
        seq_len=seq_len,
        tokens=batch_size * seq_len,
        density=given.get("density", 1.0),
        release=given.get("release", "r2"),
    )
    rate = given[line.rate]
    return WaferRate(
        id=f"line {line.number}",
        group=shape.name,
        run=run,
        cluster=load_cluster(system, run.num_csx),
        samples_per_s=rate if line.rate == "samples_per_s" else rate / seq_len,
    )


def _on_gpus(measurements: Measurements, base: str | None) -> OwnRuns:
    gpu = measurements.same_in_all("gpu")
    software = measurements.same_in_all("software", DEFAULT_SOFTWARE)
    load_gpu(base or gpu)
    load_software(software)
    rows, labels, doubts = [], [], []
    for line in measurements.lines:
        with measurements.at(line):
            row = _gpu_rate(line, base or gpu, software)
            found = known_to_run(row.job, row.fixed)
        rows.append(row)
        if not found.fits[0]:
            needed = float(total(found.memory_bytes)[0])
            doubts.append(f"line {line.number} ran, but by the memory model it needs {needed / 1e9:.0f} GB of each GPU")
        job = row.job
        labels.append(f"{job.shape.name}, {job.num_gpus} {gpu}, {job.batch_size} × {job.seq_len}, {job.precision}")
    job = rows[0].job
    peaks = {"bf16": "sustained_fraction", "fp8": "fp8_sustained_fraction"}
    used = [f"{job.gpu.name}.{peaks[name]}" for name in PRECISIONS if any(row.job.precision == name for row in rows)]
    attention = f"{job.software.name}.attention_fraction"
    return OwnRuns(
        measurements=measurements,
        rows=[*rows],
        labels=labels,
        measured=[row.tokens_per_s_per_gpu for row in rows],
        unit="tokens/s per GPU",
        base=job,
        constants=job.numbers,
        usual=(*used, attention) if attention in job.numbers else tuple(used),
        doubts=tuple(doubts),
    )


def _gpu_rate(line: Line, gpu: str, software: str) -> GpuRate:
    given = line.values
    job = gpu_job(
        load_model(given["model"]).shape,
        gpu=gpu,
        num_gpus=given["num_gpus"],
        batch_size=given["batch_size"],
        seq_len=given.get("seq_len"),
        software=software,
        precision=given.get("precision", "bf16"),
    )
    rate = given[line.rate]
    if line.rate == "step_time_s":
        rate = job.batch_size * job.seq_len / rate
    return GpuRate(
        id=f"line {line.number}",
        group=job.shape.name,
        job=job,
        fixed=Layout(**{name: given[name] for name in LAYOUT_FIELDS if name in given}),
        tokens_per_s_per_gpu=rate if line.rate == "tokens_per_s_per_gpu" else rate / job.num_gpus,
    )
