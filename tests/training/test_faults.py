"""A disk that is full, that fails, or that is no longer ours: one error, what was saved is sound, the run goes on."""

import errno
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from tests.campaigns import RecordFigures
from tests.training.failing_disk import REFUSALS, FailingDisk
from tests.training.test_resume import ALGORITHMS, CONFIG, _computed
from training.checkpoint import load_latest
from training.config import TrainConfig
from training.data import Corpus
from training.execution import Execution
from training.run_record import Row
from training.trainer import train
from wse_sim.errors import FileError

SHORT = msgspec.structs.replace(CONFIG, n_steps=6, checkpoint_interval=2, eval_interval=6, sparsity=ALGORITHMS["rigl"])
NOBODY = 65_534


def config_of(executor: str, folder: Path) -> TrainConfig:
    store = None
    if executor == "streaming":
        (folder / "store").mkdir()
        store = str(folder / "store")
    return msgspec.structs.replace(SHORT, execution=Execution(executor=executor, store=store))  # type: ignore[arg-type]


def faults(
    disk: FailingDisk, config: TrainConfig, corpus: Corpus, folder: Path, chosen: Callable[[], Iterable[int]]
) -> Iterator[tuple[tuple[str, str], str]]:
    """Requests of a run, and what was said where each was the first that failed; nothing if it went on.

    They are `chosen` once the disk has seen them all, in a run that nothing disturbs.

    What was saved is sound and the newest there is, and the run goes on once it can to what it would have been.
    """
    disk.start(None)
    straight = train(config, folder / "straight", corpus=corpus)
    for number in chosen():
        run, said = folder / f"run-{number}", ""
        disk.start(number)
        try:
            train(config, run, corpus=corpus)
        except FileError as error:
            said = str(error)
        failed = disk.asked[number]
        saved = [int(name[5:13]) for sort, name in disk.granted if sort == "rename" and re.match(r"step-.*json", name)]
        disk.start(None)
        checkpoint, damaged = load_latest(run)
        assert not damaged, failed
        assert (0 if checkpoint is None else checkpoint.meta.step) == max(saved, default=0), failed
        resumed = train(config, run, corpus=corpus, resume=True)
        assert _computed(resumed) == _computed(straight), failed
        assert resumed.mask_updates == straight.mask_updates, failed
        assert resumed.checkpoint.read_bytes() == straight.checkpoint.read_bytes(), failed
        assert not list(run.rglob(".*")), failed
        yield failed, said


def require_clear(failed: tuple[str, str], said: str, folder: Path) -> None:
    """What failed is named, and why; only what is tidied up may stay as it is."""
    why = os.strerror(REFUSALS[failed[0]])
    if said or failed[0] != "unlink":
        assert re.fullmatch(rf"{folder}/\S+: .*cannot be (written|made): {why}", said), (failed, said)


def test_whatever_is_refused_first_is_told_and_the_run_goes_on(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each sort of request, for the kind of file that a run comes to last."""
    disk = FailingDisk(tmp_path, monkeypatch)
    config = config_of("dense", tmp_path)

    def last_of_each() -> Iterable[int]:
        last = {disk.asked[number][0]: number for number in disk.places}
        assert last.keys() == REFUSALS.keys() - {"reserve"}
        return last.values()

    for failed, said in faults(disk, config, corpus, tmp_path, last_of_each):
        require_clear(failed, said, tmp_path)


def test_a_store_without_room_is_told_before_anything_is_mapped_to_it(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the system would end the process, without a word, where it writes to memory that has no place on the disk."""
    disk = FailingDisk(tmp_path, monkeypatch)
    config = config_of("streaming", tmp_path)

    def last_reserved() -> Iterable[int]:
        assert sum(path.stat().st_blocks for path in (tmp_path / "store").iterdir()) * 512 >= 3 * 4 * 1000
        return [number for number, (sort, _) in enumerate(disk.asked) if sort == "reserve"][-1:]

    for failed, said in faults(disk, config, corpus, tmp_path, last_reserved):
        assert failed[0] == "reserve"
        assert said == f"{tmp_path}/store/{failed[1]}: cannot be written: No space left on device"


@pytest.mark.campaign
def test_a_run_outlives_the_failure_of_every_single_request_to_the_disk(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_figures: RecordFigures
) -> None:
    """Those of a run of the dense executor, and of one of the streaming executor with a store on the disk."""
    disk = FailingDisk(tmp_path, monkeypatch)
    n_requests = n_told = 0
    for executor in ("dense", "streaming"):
        folder = tmp_path / executor
        folder.mkdir()
        config = config_of(executor, folder)
        for failed, said in faults(disk, config, corpus, folder, lambda: range(len(disk.asked))):
            require_clear(failed, said, folder)
            n_requests, n_told = n_requests + 1, n_told + bool(said)
    found = {"requests, each the first to fail once": n_requests, "runs that ended with one clear error": n_told}
    found |= {"runs that went on all the same": n_requests - n_told}
    record_figures("faults_in_training", found | {"resumed to other bytes": 0, "checkpoints lost": 0})


def test_permission_that_is_lost_in_the_middle_is_told_and_the_run_goes_on_once_it_is_back(corpus: Corpus) -> None:
    """Root is refused nothing, so it is somebody else who trains."""

    def lose(row: Row) -> None:
        if row.step == 3:
            (folder / "run" / "checkpoints").chmod(0o555)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        straight = train(SHORT, folder / "straight", corpus=corpus)
        tensors = folder / "run" / "checkpoints" / "step-00000004.safetensors"
        told = rf"^{tensors}: cannot be written: {os.strerror(errno.EACCES)}$"
        with as_nobody(), pytest.raises(FileError, match=told):
            train(SHORT, folder / "run", corpus=corpus, on_step=lose)
        tensors.parent.chmod(0o777)
        resumed = train(SHORT, folder / "run", corpus=corpus, resume=True)
        assert _computed(resumed) == _computed(straight)
        assert resumed.checkpoint.read_bytes() == straight.checkpoint.read_bytes()


@contextmanager
def as_nobody() -> Iterator[None]:
    """This process has nobody's rights, if it has root's."""
    who = os.geteuid()
    if who == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(who)
