"""What the reader must know before using a loss that was projected from runs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wse_sim.laws.bootstrap import CONFIDENCE
from wse_sim.laws.choice import Choice
from wse_sim.laws.fit import Fit
from wse_sim.laws.observation import Observation, Sample, differing, settings
from wse_sim.workload.flops import Convention
from wse_sim.workload.transformer import n_parameters

_NOTHING = 1e-3  # nats
_STATIC = "static"
_FAR = 100.0  # times the largest run: beyond it, the interval says little


def caveats_of(
    observations: Sequence[Observation],
    choice: Choice,
    fitted: Fit[Any],
    replicates: Mapping[Any, Any],
    target: Sample,
    convention: Convention,
) -> tuple[str, ...]:
    """Plain sentences, the most important first.

    Parameters
    ----------
    replicates :
        Laws of the bootstrap, by what was drawn: `seeds`, `rows`.
    """
    return (
        *_about_the_text(observations, target),
        *_about_the_distance(choice, target, convention),
        *_about_the_fit(observations, choice, fitted, replicates),
    )


def extrapolation(choice: Choice, target: Sample, convention: Convention) -> dict[str, float]:
    """Target over the largest of the rows that the law was fitted to: FLOPs, parameters, tokens."""
    names = ("flops", "parameters", "tokens")
    of_rows = np.array([row.sample.inputs(names, convention) for row in choice.rows]).max(axis=0)
    return dict(zip(names, (np.array(target.inputs(names, convention)) / of_rows).tolist(), strict=True))


def _about_the_text(observations: Sequence[Observation], target: Sample) -> list[str]:
    corpus = observations[0].corpus
    caveats = [
        f"nats per byte on {corpus.get('source')}, context {target.seq_len}: not comparable with a loss per token of "
        "another text or tokenizer",
        f"the target is taken with the runs' vocabulary of {target.shape.vocab_size} and their context: "
        f"{n_parameters(target.shape):,} parameters",
    ]
    n_bytes = corpus.get("n_bytes")
    if n_bytes and target.tokens > n_bytes:
        most = max(o.sample.tokens for o in observations) / n_bytes
        caveats.append(
            f"the target would pass {target.tokens / n_bytes:,.1f} times over this text (the runs up to {most:.2g}): "
            "the law knows nothing of repeated data"
        )
    return caveats


def _about_the_distance(choice: Choice, target: Sample, convention: Convention) -> list[str]:
    caveats = []
    factor = extrapolation(choice, target, convention)["flops"]
    if factor > 1.0:
        far = ", far beyond what its interval can cover" if factor > _FAR else ""
        caveats.append(f"extrapolated {factor:,.3g} times beyond the compute of the largest run{far}")
    densities = [row.sample.density for row in choice.rows]
    if not min(densities) <= target.density <= max(densities):
        caveats.append(f"density {target.density:g} lies outside the runs' {min(densities):g} to {max(densities):g}")
    shapes = [row.sample.shape for row in choice.rows]
    for name in ("feed_forward", "positions"):
        of_runs, of_target = getattr(shapes[0], name), getattr(target.shape, name)
        if of_runs != of_target:
            caveats.append(f"the target's {name} is {of_target}, the runs' is {of_runs}: the law sees sizes alone")
    return caveats


def _about_the_fit(
    observations: Sequence[Observation], choice: Choice, fitted: Fit[Any], replicates: Mapping[Any, Any]
) -> list[str]:
    over = " and over ".join("the seeds" if name == "seeds" else "the rows' residuals" for name in replicates)
    caveats = [
        f"{100 * CONFIDENCE:.0f} % interval by bootstrap over {over}; it takes the law's form for granted",
        f"the rows lie {100 * fitted.residual_std:.2f} % (standard deviation) around the law, at most "
        f"{100 * fitted.largest_residual:.2f} %",
    ]
    if fitted.law.irreducible < _NOTHING:
        caveats.append(
            "the irreducible loss comes out as 0: the rows do not bend enough to show one, so a loss far away is "
            "rather too low than too high"
        )
    if "seeds" not in replicates:
        caveats.append("one seed for each row: how much the seed matters is not known")
    if fitted.n_agreeing == 1:
        caveats.append(f"only one of {fitted.n_starts} random starts ended at this minimum: there may be a lower one")
    if choice.left_out:
        caveats.append(f"{len(choice.left_out)} rows of other densities were left out")
    algorithm = observations[0].config.get("sparsity.algorithm", _STATIC)
    if algorithm != _STATIC and "flops" in choice.form.inputs:
        caveats.append(f"the masks changed during training ({algorithm}): FLOPs are counted at the last density")
    varying = differing(observations, settings(observations))
    if varying:
        caveats.append(f"the runs differ in {', '.join(varying)}: the law takes this for part of their scaling")
    return caveats
