"""What weights in a folder mean for a run that is to begin with them: model, parameterization, masks."""

from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from models.bases import BaseHyperparameters
from models.hugging_face.byte_tokenizer import TOKENIZER
from models.hugging_face.config import CONFIG, require_exact
from models.parametrization import PARAMETRIZATIONS, ParametrizationName, WeightDecayScaling
from training.data import BYTES, UNKNOWN, Reading
from training.exported import read_export
from training.exported_tokenizer import digest_of_tokenizer, is_named
from training.sparsity.plan import plan_sparsity
from wse_sim.errors import SpecError, choose
from wse_sim.spec.hugging_face import shape_from_hugging_face
from wse_sim.spec.load import ModelLike, as_preset
from wse_sim.spec.model import ModelShape
from wse_sim.spec.reading import read_json
from wse_sim.spec.sparsity import Algorithm, Static
from wse_sim.spec.sparsity.algorithms import InitMethod
from wse_sim.workload.sparsity import exact_nonzeros

StartMask = Literal["random", "topk", "from_zeros"]


class Imported(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The model of a folder for `transformers`, as a run takes it.

    Parameters
    ----------
    folder :
        As the user named it.
    shape :
        Of an export that goes on in its own parameterization, the one it was trained in; else what `config.json` says.
    base, weight_decay_scaling :
        Of such an export; base None = the published one.
    density :
        Of an export's hidden matrices; None for folders of others.
    tokenizer, tokenizer_sha256 :
        Of the ids that the weights were trained on, as an export names it; and of the folder's `tokenizer.json`.
    """

    folder: str
    shape: ModelShape
    base: BaseHyperparameters | None = None
    weight_decay_scaling: WeightDecayScaling = "none"
    density: float | None = None
    tokenizer: str | None = None
    tokenizer_sha256: str | None = None


def fields_of_job(
    folder: str, model: ModelLike | None, parametrization: str | None, method: StartMask | None, density: float
) -> dict[str, Any]:
    """The fields of `training.job.Job` that a folder decides.

    Parameters
    ----------
    model, parametrization, method, density :
        As the user said; None = left out, density 1 = dense, or what zeros make.

    Raises
    ------
    SpecError
        As `imported` and `start_sparsity`, and when the folder's model is not the one that was named.
    """
    start, name = imported(folder, parametrization)
    if model is not None:
        _require_same_shape(start, model)
    fields: dict[str, Any] = {"start": start, "parametrization": name}
    if method is not None:
        sparsity = start_sparsity(start, method, density)
        fields["start_sparsity"] = sparsity
        if method == "from_zeros":
            fields["density"] = plan_sparsity(sparsity, start.shape, density=1.0, n_steps=1).density
    return fields


def imported(folder: str, parametrization: str | None) -> tuple[Imported, ParametrizationName]:
    """The model of a folder, and the parameterization it goes on in: an export's own, else standard.

    Weights of others are those of standard parameterization, without multipliers. So are those of an export, into which
    they are folded; in its own parameterization they are taken out again, which costs a rounding.

    Parameters
    ----------
    parametrization :
        As the user said; None = left out.

    Raises
    ------
    SpecError
        When the folder holds no model that trains here, or the parameterization is unknown.
    """
    path = Path(folder) / CONFIG
    config = read_json(path)
    require_exact(config, str(path))
    export = read_export(Path(folder))
    start = Imported(
        folder=folder,
        shape=shape_from_hugging_face(config, name=Path(folder).resolve().name, where=str(path)),
        density=None if export is None else export.density,
        tokenizer=None if export is None else export.tokenizer,
        tokenizer_sha256=digest_of_tokenizer(Path(folder)),
    )
    if export is not None and parametrization in (None, export.parametrization.name):
        rules = export.parametrization
        own = {"shape": export.shape, "base": rules.base, "weight_decay_scaling": rules.weight_decay_scaling}
        return msgspec.structs.replace(start, **own), rules.name
    choose(parametrization or "sp", PARAMETRIZATIONS, "parametrization")
    return start, parametrization or "sp"  # type: ignore[return-value]  # it was chosen


def other_tokens(start: Imported, reading: Reading) -> tuple[str, ...]:
    """What a run that begins with the weights must say of its ids, a sentence.

    None where they are known to be those that the weights were trained on. A tokenizer that is still to be trained may
    come out the same, but nobody knows yet.
    """
    digest = start.tokenizer_sha256
    if start.tokenizer == reading.tokenizer != UNKNOWN or (digest is not None and is_named(digest, reading.tokenizer)):
        return ()
    here = f"tokens: ids here are {_ids_of(reading.tokenizer)}"
    has_own = digest is not None and start.tokenizer != BYTES
    theirs = f"; --tokenizer {Path(start.folder) / TOKENIZER} reads text as those" if has_own else ""
    if start.tokenizer is None:
        return (f"{here}; those of weights that were trained elsewhere are their own tokenizer's{theirs}",)
    return (f"{here}; those of the weights are {_ids_of(start.tokenizer)}{theirs}",)


def _ids_of(tokenizer: str) -> str:
    if tokenizer == BYTES:
        return "bytes"
    return "of a tokenizer that nobody named" if tokenizer == UNKNOWN else f"of the tokenizer {tokenizer}"


def start_sparsity(start: Imported, method: StartMask, density: float) -> tuple[Algorithm, ...]:
    """Static masks for the weights of a folder.

    Parameters
    ----------
    density :
        Of the hidden matrices; with `from_zeros`, 1 = whatever the zeros make.

    Raises
    ------
    SpecError
        When there are no zeros, or others than the density says, or nothing to mask.
    """
    if method == "from_zeros":
        return _from_zeros(start.folder, density)
    if density == 1.0 and method != "random":
        raise SpecError(f"--mask-init {method} has nothing to mask at density 1: give --density too")
    return (Static(init_method=method),)


def _require_same_shape(start: Imported, model: ModelLike) -> None:
    """Raise SpecError when the folder's model is not the one that the user named too."""
    named = as_preset(model).shape
    for key in ModelShape.__struct_fields__:
        there, here = (getattr(of, "kv_heads" if key == "n_kv_heads" else key) for of in (start.shape, named))
        if key != "name" and there != here:
            raise SpecError(
                f"--model {named.name} has {key} = {here}, and the model of {start.folder} has {there}: "
                "leave --model out, the folder says what the model is"
            )


def _from_zeros(folder: str, density: float) -> tuple[Algorithm, ...]:
    """One algorithm where every hidden matrix has the same density, else one for each that has zeros."""
    from models.hugging_face.read import HuggingFaceWeights

    weights = HuggingFaceWeights(folder)
    hidden = plan_sparsity((Static(),), weights.shape, density=1.0, n_steps=1).hidden
    sizes = {name: int(np.prod(dims)) for name, dims in hidden.items()}
    live = {name: int(weights[name].count_nonzero()) for name in hidden}
    found = sum(live.values()) / sum(sizes.values())
    if found == 1.0:
        raise SpecError(
            f"{folder}: no weight of a hidden matrix is 0, so that zeros make no mask: leave --mask-init out"
        )
    if any(n == 0 for n in live.values()):
        raise SpecError(f"{folder}: {min(live, key=lambda name: live[name])} has no weight that is not 0")
    if density != 1.0 and round(found, 4) != round(density, 4):
        raise SpecError(f"{folder}: zeros make a density of {found:.6g}, not {density:g}: leave --density out")
    init: InitMethod = "from_zeros"
    even = round(1.0 - found, 12)
    if all(n == exact_nonzeros(sizes[name], 1.0 - even) for name, n in live.items()):
        return (Static(init_method=init, sparsity=even),)
    return tuple(
        # Half a weight more than there are, so that rounding down finds their number.
        Static(init_method=init, sparsity=1.0 - (n + 0.5) / sizes[name], param_filter=name)
        for name, n in live.items()
        if n < sizes[name]
    )
