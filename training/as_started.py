"""Whether a run that goes on is configured as its job says: both are files that somebody may have changed."""

from pathlib import Path

from training.config import CONFIG_FILE, TrainConfig
from training.job import TARGET_FILE, Job
from wse_sim.errors import SpecError
from wse_sim.spec.sparsity import Static

_OF_EVERY_RUN = ("parametrization", "schedule", "seed", "data", "tokenizer", "text_field")
_OF_EXECUTION = ("microbatch", "precision", "device", "compile", "sharding", "moments")  # the others may change


def require_as_started(run_dir: Path, job: Job, config: TrainConfig) -> None:
    """Make sure that what the job says of the run here is what its configuration has.

    What the job leaves open was chosen by the machine, and is not compared.

    Raises
    ------
    SpecError
        When they differ; the message names the key.
    """
    for key, said, of_run in _compared(job, config):
        if said is not None and said != of_run:
            raise SpecError(
                f"{run_dir}: {key} is {said!r} in {TARGET_FILE} and {of_run!r} in {CONFIG_FILE}, which were written of "
                "one run: put back the one that was changed"
            )


def _compared(job: Job, config: TrainConfig) -> list[tuple[str, object, object]]:
    """Keys of a job that a configuration takes as they are, with both values."""
    host, execution = job.host, config.execution
    found = [(key, getattr(job, key), getattr(config, key)) for key in _OF_EVERY_RUN]
    if config.sparsity == Static():
        found.append(("density", job.density, config.density))
    if host.is_itself:
        found += [
            ("seq_len", job.seq_len, config.seq_len),
            ("host.steps", host.steps, config.n_steps),
            ("host.batch_size", host.batch_size, config.batch_size),
            ("host.peak_lr", host.peak_lr, config.base.peak_lr),
            ("host.clip", host.clip, config.clip),
        ]
        found += [(f"host.{key}", getattr(host, key), getattr(execution, key)) for key in _OF_EXECUTION]
    return found
