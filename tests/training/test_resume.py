"""A run that was broken off, wherever that was, goes on as if nothing had happened; what is damaged is named."""

import os
import resource
import signal
import subprocess
import sys
from itertools import product
from pathlib import Path

import msgspec
import pytest

import training.schedules
from tests.bad_input.case import tree
from tests.campaigns import RecordFigures
from training.config import TrainConfig
from training.data import Corpus
from training.execution import Execution
from training.run_record import Row, RunRecord, read_rows
from training.toml_text import toml_text
from training.trainer import train
from wse_sim.errors import SpecError
from wse_sim.spec.model import ModelShape
from wse_sim.spec.sparsity import GMP, SET, SPDF, Algorithm, RigL, Static, Update

SHAPE = ModelShape(name="tiny", n_layers=2, d_model=32, n_heads=1, d_ff=64, vocab_size=256, seq_len=16)
CONFIG = TrainConfig(
    shape=SHAPE,
    density=0.25,
    n_steps=10,
    batch_size=2,
    seq_len=16,
    eval_interval=10,
    n_eval_sequences=4,
    log_interval=1,
    checkpoint_interval=4,
    data="markov",
)
EXECUTIONS = {
    "dense": (Execution(), 1.0),
    "dense in micro-batches": (Execution(microbatch=1, recompute="always", precision="bf16"), 1.0),
    "streaming": (Execution(executor="streaming"), 1.0),
    "streaming, not clipped": (Execution(executor="streaming", microbatch=1, recompute="always"), "none"),
    "streaming, all in bf16": (Execution(executor="streaming", precision="bf16", moments="bf16"), 1.0),
}
ALGORITHMS: dict[str, Algorithm] = {
    "static": Static(),
    "set": SET(update=Update(freq=3, stop=9)),
    "rigl": RigL(update=Update(freq=3, stop=9)),
    "gmp": GMP(update=Update(freq=3, stop=9)),
    "spdf": SPDF(lift_at=7),
}
# What a schedule needs that has no default.
SCHEDULES = [name if name != "cooldown" else "cooldown(start=5)" for name in training.schedules.SCHEDULES]
PAIRS = list(product(EXECUTIONS, ALGORITHMS))
MEASURED = ("host_s",)


@pytest.mark.parametrize(("execution", "algorithm"), PAIRS)
def test_every_executor_resumes_every_algorithm(corpus: Corpus, tmp_path: Path, execution: str, algorithm: str) -> None:
    """Each pair under one schedule, another than the pair before; in the campaign under all."""
    number = PAIRS.index((execution, algorithm)) % len(SCHEDULES)
    _require_resumed(corpus, tmp_path / "run", execution, algorithm, number)


@pytest.mark.campaign
def test_every_executor_resumes_every_algorithm_under_every_schedule(
    corpus: Corpus, tmp_path: Path, record_figures: RecordFigures
) -> None:
    for execution, algorithm in PAIRS:
        for number in range(len(SCHEDULES)):
            _require_resumed(corpus, tmp_path / execution / algorithm / str(number), execution, algorithm, number)
    record_figures(
        "faults_in_training",
        {
            "ways to execute": len(EXECUTIONS),
            "algorithms": len(ALGORITHMS),
            "schedules": len(SCHEDULES),
            "runs broken off and resumed": len(PAIRS) * len(SCHEDULES),
            "that ended with other rows or another checkpoint": 0,
        },
    )


@pytest.mark.parametrize(("execution", "at"), [("dense", "tensors"), ("streaming", "description")])
def test_a_kill_while_a_checkpoint_is_written_costs_only_that_checkpoint(
    corpus: Corpus, tmp_path: Path, execution: str, at: str
) -> None:
    config = msgspec.structs.replace(CONFIG, execution=EXECUTIONS[execution][0], sparsity=ALGORITHMS["rigl"])
    straight = train(config, tmp_path / "straight", corpus=corpus)
    (tmp_path / "config.toml").write_text(toml_text(config), encoding="utf-8")
    killed = tmp_path / "killed"
    program = f"from tests.training.test_resume import train_and_die\ntrain_and_die({str(tmp_path)!r}, {at!r})"
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert list((killed / "checkpoints").glob(".*.part"))
    assert sorted(path.stem for path in (killed / "checkpoints").glob("step-*.json")) == ["step-00000004"]
    resumed = train(config, killed, corpus=corpus, resume=True)
    assert _computed(resumed) == _computed(straight)
    assert resumed.checkpoint.read_bytes() == straight.checkpoint.read_bytes()
    assert not list((killed / "checkpoints").glob(".*.part"))


def train_and_die(folder: str, at: str) -> None:
    """Train `config.toml` into `killed`, and be killed half-way through the checkpoint of step 8."""
    import training.checkpoint as checkpoint
    from training.config import read_config

    write = checkpoint.write_atomically

    def dying(path: Path, content: object) -> None:
        if "00000008" not in path.name or path.suffix != {"tensors": ".safetensors", "description": ".json"}[at]:
            write(path, content)  # type: ignore[arg-type]
            return
        pieces = [content] if isinstance(content, bytes) else list(content)  # type: ignore[call-overload]

        def half() -> object:
            yield b"".join(pieces)[: sum(map(len, pieces)) // 2]
            os.kill(os.getpid(), signal.SIGKILL)

        write(path, half())  # type: ignore[arg-type]

    checkpoint.write_atomically = dying  # type: ignore[assignment]
    train(read_config(Path(folder) / "config.toml"), Path(folder) / "killed")


@pytest.mark.parametrize("execution", ["dense", "streaming"])
def test_a_full_disk_is_told_and_the_run_goes_on_once_there_is_room(
    corpus: Corpus, tmp_path: Path, execution: str
) -> None:
    """The operating system itself refuses to let a file grow, as on a disk without room."""
    config = msgspec.structs.replace(CONFIG, execution=EXECUTIONS[execution][0])
    straight = train(config, tmp_path / "straight", corpus=corpus)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    path = tmp_path / "broken" / "checkpoints" / "step-00000008.safetensors"

    def fill_the_disk(row: Row) -> None:
        if row.step == 7:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))

    try:
        with pytest.raises(SpecError, match=rf"{path}: cannot be written: File too large"):
            train(config, tmp_path / "broken", corpus=corpus, on_step=fill_the_disk)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.stem for path in path.parent.glob("*.json")] == ["step-00000004"]
    assert not list(path.parent.glob(".*.part"))
    assert _computed(train(config, tmp_path / "broken", corpus=corpus, resume=True)) == _computed(straight)


def test_a_folder_that_cannot_be_written_is_told_before_anything_trains(corpus: Corpus) -> None:
    """Not even root writes there."""
    with pytest.raises(SpecError, match="/proc/wse-sim: the folder cannot be made"):
        train(CONFIG, "/proc/wse-sim", corpus=corpus, on_step=lambda row: pytest.fail("it trained"))


def test_checkpoints_that_cannot_be_written_any_more_are_told(corpus: Corpus, tmp_path: Path) -> None:
    def take_away(row: Row) -> None:
        if row.step == 3:
            (tmp_path / "checkpoints").symlink_to("/proc/self/fdinfo")

    with pytest.raises(SpecError, match=r"step-00000004\.safetensors: cannot be written"):
        train(CONFIG, tmp_path, corpus=corpus, on_step=take_away)
    assert len(read_rows(tmp_path / "run.jsonl")) == 4


def test_checkpoints_that_cannot_be_listed_are_told_and_nothing_begins_anew(corpus: Corpus, tmp_path: Path) -> None:
    """A link to itself, which not even root can follow."""
    with pytest.raises(RuntimeError, match="power cut"):
        train(CONFIG, tmp_path, corpus=corpus, on_step=_crash_after(6))
    before = (tmp_path / "run.jsonl").read_bytes()
    (tmp_path / "checkpoints").rename(tmp_path / "elsewhere")
    (tmp_path / "checkpoints").symlink_to("checkpoints")
    with pytest.raises(SpecError, match=r"checkpoints: the checkpoints cannot be listed: Too many"):
        train(CONFIG, tmp_path, corpus=corpus, resume=True)
    assert (tmp_path / "run.jsonl").read_bytes() == before


@pytest.mark.parametrize("execution", ["dense", "streaming"])
@pytest.mark.parametrize("where", [0, 200, -1])
def test_a_flipped_bit_is_found_and_named_and_the_checkpoint_before_is_taken(
    corpus: Corpus, tmp_path: Path, execution: str, where: int
) -> None:
    config = msgspec.structs.replace(CONFIG, execution=EXECUTIONS[execution][0])
    straight = train(config, tmp_path / "straight", corpus=corpus)
    with pytest.raises(RuntimeError, match="power cut"):
        train(config, tmp_path / "broken", corpus=corpus, on_step=_crash_after(9))
    newest = tmp_path / "broken" / "checkpoints" / "step-00000008.safetensors"
    content = bytearray(newest.read_bytes())
    content[where] ^= 1
    newest.write_bytes(content)
    resumed = train(config, tmp_path / "broken", corpus=corpus, resume=True)
    assert [warning for warning in resumed.warnings if str(newest) in warning and "checksum" in warning]
    assert _computed(resumed) == _computed(straight)


@pytest.mark.parametrize(
    ("lost", "says"),
    [
        (slice(0, None), "there are no rows, and the checkpoint is of step 8"),
        (slice(7, None), "its rows end at step 7, and the checkpoint is of step 8"),
        (slice(8, None), None),  # what came after the checkpoint is done again
    ],
)
def test_rows_that_were_lost_are_told_and_all_is_left_as_it_is(
    corpus: Corpus, tmp_path: Path, lost: slice, says: str | None
) -> None:
    straight, run_dir = train(CONFIG, tmp_path / "straight", corpus=corpus), tmp_path / "broken"
    with pytest.raises(RuntimeError, match="power cut"):
        train(CONFIG, run_dir, corpus=corpus, on_step=_crash_after(9))
    lines = (run_dir / "run.jsonl").read_bytes().splitlines(keepends=True)
    del lines[lost]
    (run_dir / "run.jsonl").write_bytes(b"".join(lines))
    if says is None:
        assert _computed(train(CONFIG, run_dir, corpus=corpus, resume=True)) == _computed(straight)
        return
    before = tree(run_dir)
    skipping = msgspec.structs.replace(CONFIG, on_nan="skip")  # would be written into config.toml
    with pytest.raises(SpecError, match=rf"run\.jsonl: {says}: put the file back"):
        train(skipping, run_dir, corpus=corpus, resume=True)
    assert tree(run_dir) == before


def test_a_run_goes_on_with_other_intervals_than_its_rows_are_of(corpus: Corpus, tmp_path: Path) -> None:
    seldom = msgspec.structs.replace(CONFIG, log_interval=9, eval_interval=9)
    with pytest.raises(RuntimeError, match="power cut"):
        train(seldom, tmp_path, corpus=corpus, on_step=_crash_after(9))
    record = train(CONFIG, tmp_path, corpus=corpus, resume=True)
    assert [row.step for row in record.rows] == [1, 9, 10]


def _require_resumed(corpus: Corpus, folder: Path, execution: str, algorithm: str, number: int) -> None:
    """A run that is broken off goes on to the same end; under each schedule it breaks off at another step."""
    how, clip = EXECUTIONS[execution]
    config = msgspec.structs.replace(
        CONFIG, execution=how, clip=clip, sparsity=ALGORITHMS[algorithm], schedule=SCHEDULES[number]
    )
    straight = train(config, folder / "straight", corpus=corpus)
    resumed = _crashed_and_resumed(config, folder / "broken", corpus, 1 + number % (CONFIG.n_steps - 1))
    assert _computed(resumed) == _computed(straight), SCHEDULES[number]
    assert resumed.checkpoint.read_bytes() == straight.checkpoint.read_bytes(), SCHEDULES[number]


def _crashed_and_resumed(config: TrainConfig, folder: Path, corpus: Corpus, step: int) -> RunRecord:
    with pytest.raises(RuntimeError, match="power cut"):
        train(config, folder, corpus=corpus, on_step=_crash_after(step))
    return train(config, folder, corpus=corpus, resume=True)


def _crash_after(step: int):  # type: ignore[no-untyped-def]
    def crash(row: Row) -> None:
        if row.step == step:
            raise RuntimeError("power cut")

    return crash


def _computed(record: RunRecord) -> list[dict[str, object]]:
    return [{k: v for k, v in msgspec.to_builtins(row).items() if k not in MEASURED} for row in record.rows]
