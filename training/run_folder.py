"""A run's folder before the first step."""

from pathlib import Path

from training.checkpoint import FOLDER
from training.config import CONFIG_FILE, TrainConfig
from training.data import Corpus
from training.run_record import RUN_FILE
from training.toml_text import toml_text
from wse_sim.errors import SpecError
from wse_sim.files import read_bytes, remove_torn, write_atomically


def prepare_folder(run_dir: Path, config: TrainConfig, data: Corpus, *, resume: bool) -> None:
    """Write what the run is, and remove what processes that were killed left half-written.

    Raises
    ------
    SpecError
        When the folder holds another run, or cannot be written.
    """
    if (run_dir / RUN_FILE).exists() and not resume:
        raise SpecError(f"{run_dir}: there is a run in this folder already: resume it, or name another folder")
    for folder in (run_dir, run_dir / FOLDER):
        remove_torn(folder)
    write_atomically(run_dir / CONFIG_FILE, toml_text(config).encode())
    if data.tokenizer_file is not None:
        write_atomically(run_dir / data.tokenizer_file.name, read_bytes(data.tokenizer_file))
