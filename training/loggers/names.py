"""The names under which dashboards know the numbers of a run: the field's, where it has one."""

from training.run_record import Row, RunRecord
from training.sparsity.updater import MaskUpdate


def row_metrics(row: Row, before: Row | None) -> dict[str, float]:
    """A logged step by name; what it has no value for is left out.

    `tokens_per_sec` is measured, evaluation and checkpoints included. There is no `mfu`: how much this machine could do
    at most is not known. That of the simulated run is in the summary.

    Parameters
    ----------
    before :
        The logged step before it, for the rate since then; None = since the beginning.
    """
    tokens, host_s = row.tokens, row.host_s
    if before is not None:
        tokens, host_s = tokens - before.tokens, host_s - before.host_s
    metrics = {
        "train/loss": row.loss,
        "train/bits_per_byte": row.bits_per_byte,
        "val/loss": row.val_loss,
        "val/bits_per_byte": row.val_bits_per_byte,
        "lr": row.lr,
        "grad_norm": row.grad_norm,
        "density": row.density,
        "n_skipped": row.n_skipped,
        "tokens": row.tokens,
        "tokens_per_sec": tokens / host_s if host_s > 0 else None,
        "simulated/wafer_s": row.wafer_s,
        "simulated/gpu_s": row.gpu_s,
    }
    return {name: value for name, value in metrics.items() if value is not None}


def mask_metrics(update: MaskUpdate) -> dict[str, float]:
    """A mask update by name: of each tensor the fraction of zeros that it has, and that it was to have."""
    metrics = {}
    for name, tensor in update.tensors.items():
        metrics[f"sparsity/{name}/actual"] = 1.0 - tensor.density
        metrics[f"sparsity/{name}/target"] = 1.0 - tensor.density_target
    return metrics


def measured_metrics(record: RunRecord) -> dict[str, float]:
    """What a run came to by name."""
    bits = record.val_bits_per_byte
    return {
        "measured/val_loss": record.val_loss,
        **({} if bits is None else {"measured/val_bits_per_byte": bits}),
        "measured/host_s": record.host_s,
        "measured/params": record.n_params,
        "measured/nonzero_params": record.n_nonzero_params,
    }
