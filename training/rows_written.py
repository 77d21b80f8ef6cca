"""Whether the rows in a run's folder are those that the run wrote before the checkpoint that it goes on from."""

from itertools import pairwise
from pathlib import Path

from training.checkpoint import CheckpointMeta
from training.run_record import RUN_FILE, SPARSITY_FILE, Row, read_mask_updates, read_rows
from training.streaming.record import STREAM_FILE, StreamRow
from wse_sim.errors import SpecError
from wse_sim.spec.reading import read_lines


def require_rows(run_dir: Path, meta: CheckpointMeta) -> None:
    """Make sure that nothing of them is lost before the files are written again.

    Raises
    ------
    SpecError
        When a file of rows cannot be read, or `run.jsonl` lacks what was written before the checkpoint.
    """
    path = run_dir / RUN_FILE
    rows = [row for row in read_rows(path) if row.step <= meta.step] if path.exists() else []
    if wrong := _wrong(rows, meta):
        raise SpecError(f"{path}: {wrong}: put the file back, or start the run again in another folder")
    if (run_dir / SPARSITY_FILE).exists():
        read_mask_updates(run_dir / SPARSITY_FILE)
    if (run_dir / STREAM_FILE).exists():
        read_lines(run_dir / STREAM_FILE, StreamRow)


def _wrong(rows: list[Row], meta: CheckpointMeta) -> str:
    """In words; "" where nothing is.

    Which of the steps before the checkpoint's were logged is not known: a run may go on with other intervals.
    """
    config = meta.config
    for before, row in pairwise(rows):
        if row.step <= before.step:
            return f"step {row.step} comes after step {before.step}"
    is_evaluated = meta.step % config.eval_interval == 0 or meta.step == config.n_steps
    is_logged = is_evaluated or meta.step % config.log_interval == 0 or (not rows and config.branch is None)
    if is_logged and (not rows or rows[-1].step < meta.step):
        ends = f"its rows end at step {rows[-1].step}" if rows else "there are no rows"
        return f"{ends}, and the checkpoint is of step {meta.step}"
    if is_evaluated and rows[-1].val_loss is None:
        return f"the row of step {meta.step} has no val_loss"
    n_without = sum(row.loss is None for row in rows)
    if config.branch is None and n_without != meta.n_skipped:
        return f"{n_without} rows up to step {meta.step} have no loss, and {meta.n_skipped} steps were skipped"
    return ""
