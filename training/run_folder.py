"""The folders that a run writes to, before the first step."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from training.checkpoint import FOLDER
from training.config import CONFIG_FILE, TrainConfig
from training.data import Corpus
from training.rows_written import require_rows
from training.run_record import RUN_FILE
from training.starting_point import StartingPoint
from training.toml_text import toml_text
from wse_sim.errors import SpecError
from wse_sim.files import make_folder, read_bytes, remove_torn, write_atomically
from wse_sim.run_lock import run_lock


@contextmanager
def folders_held(config: TrainConfig, run_dir: Path) -> Iterator[None]:
    """Make a run's own folder and that of its store, and hold them: no other run may write there meanwhile.

    Raises
    ------
    SpecError
        When another process is at work in one of them, or it cannot be made or written.
    """
    folders, store = [run_dir], config.execution.store
    if store is not None and Path(store).resolve() != run_dir.resolve():
        folders.append(Path(store))
    with ExitStack() as held:
        for folder in folders:
            make_folder(folder)
            held.enter_context(run_lock(folder))
        yield


def prepare_folder(run_dir: Path, start: StartingPoint, data: Corpus, *, resume: bool) -> None:
    """Write what the run is, and remove what processes that were killed left half-written.

    Raises
    ------
    SpecError
        When the folder holds another run, has lost rows of the one that goes on, or cannot be written.
    """
    if (run_dir / RUN_FILE).exists() and not resume:
        raise SpecError(f"{run_dir}: there is a run in this folder already: resume it, or name another folder")
    own = start.own_checkpoint
    if resume and own is not None:
        require_rows(run_dir, own.meta)
    for folder in (run_dir, run_dir / FOLDER):
        remove_torn(folder)
    write_atomically(run_dir / CONFIG_FILE, toml_text(start.config).encode())
    if data.tokenizer_file is not None:
        write_atomically(run_dir / data.tokenizer_file.name, read_bytes(data.tokenizer_file))
