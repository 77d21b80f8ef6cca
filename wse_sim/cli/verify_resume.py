"""`wse-sim train --verify-resume`: the user's own run, killed and resumed, beside itself uninterrupted."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from wse_sim.cli.app import EXIT_UNMET
from wse_sim.cli.output import print_json, say

if TYPE_CHECKING:
    from training.config import TrainConfig
    from training.verify_resume import ResumeProof


def prove(configs: Mapping[str, "TrainConfig"], folder: Path | None, *, as_json: bool) -> None:
    """Print the proof for each configuration; exit code 3 where one does not hold.

    Parameters
    ----------
    folder :
        For the checkpoints meanwhile, which are removed at the end; where there is none, the current one.
    """
    import msgspec

    from training.verify_resume import verify_resume
    from wse_sim.cli.progress import progress

    proofs = {}
    for name, config in configs.items():
        say(f"{name}: {config.shape.n_layers} layers of width {config.shape.d_model}")
        where = folder if folder and folder.is_dir() else Path.cwd()
        with TemporaryDirectory(prefix=".wse-sim-verify-", dir=where) as temporary, progress() as watch:
            proofs[name] = verify_resume(config, Path(temporary), watch=watch)
    if as_json:
        print_json({"kind": "measured", "runs": msgspec.to_builtins(proofs)})
    else:
        for name, proof in proofs.items():
            click.echo("\n".join([f"{name}:", *(f"  {line}" for line in _lines(proof))]))
    if not all(proof.is_exact for proof in proofs.values()):
        raise click.exceptions.Exit(EXIT_UNMET)


def _lines(proof: "ResumeProof") -> list[str]:
    both = zip(proof.losses, proof.resumed_losses, strict=True)
    return [
        *(f"step {step}: loss {loss!r}, resumed {resumed!r}" for step, (loss, resumed) in enumerate(both, start=1)),
        f"killed after step {proof.killed_after}, resumed from the checkpoint of step {proof.resumed_from}: "
        + ("equal bit for bit, and so are weights, masks and moments" if proof.is_exact else "NOT equal"),
    ]
