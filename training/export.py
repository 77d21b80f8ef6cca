"""A trained run, or a sparse export of one, as a folder that stock `transformers` models load."""

import math
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import msgspec
import torch

from models.hugging_face.config import CONFIG
from models.hugging_face.fold import must_untie
from models.hugging_face.tensors import SPARSE_WEIGHTS, digest, read_tensors
from models.hugging_face.write import SHARD_BYTES, Exportable, sources_of_folder, write_model, write_weights
from models.parametrization import forward_multipliers
from training.checkpoint import FOLDER, WEIGHT, Checkpoint, load_checkpoint, load_latest, saved_steps, tensor_path
from training.exported import EXPORT_FILE, Dtype, Export, read_export
from training.exported_tokenizer import copy_tokenizer, write_tokenizer
from training.model_card import CARD_FILE, model_card
from training.run_record import RUN_FILE, read_rows
from wse_sim import __version__
from wse_sim.errors import SpecError
from wse_sim.files import cannot_write, make_folder, require_folder, write_atomically, write_json
from wse_sim.report.run_files import require_one_run
from wse_sim.spec.hugging_face_tensors import FAMILIES, layout_of
from wse_sim.spec.reading import read_json

_DTYPES: Mapping[Dtype, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def export(
    source: Path | str,
    out: Path | str,
    *,
    step: int | None = None,
    dtype: Dtype = "fp32",
    is_sparse: bool = False,
    shard_bytes: int = SHARD_BYTES,
    command: str = "",
) -> Export:
    """Write a folder that `transformers` loads, whole or not at all, one tensor at a time.

    Parameters
    ----------
    source :
        Folder of a run; or one that was exported with `is_sparse`, to be made dense.
    out :
        A folder that is not there yet, or is empty.
    step :
        Of the checkpoint; None = the newest undamaged one.
    is_sparse :
        Masked tensors as live numbers and masks (`models.hugging_face.tensors`), which stock models do not load.
    shard_bytes :
        Largest size of one file of weights.
    command :
        To be kept with it.

    Raises
    ------
    SpecError
        When there is no such checkpoint, no stock model computes what the run's does, or `out` holds something.
    """
    source, out = Path(source), Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SpecError(f"{out}: is there already; name a folder that is not, or an empty one")
    made = out.with_name(f".{out.name}.{os.getpid()}.part")
    new = [folder for folder in made.parents if not folder.exists()]
    make_folder(made)
    try:
        if (source / SPARSE_WEIGHTS).is_file():
            if step is not None or is_sparse:
                raise SpecError(
                    f"{source}: is a sparse export, to be made dense: it takes no --checkpoint and no --sparse"
                )
            said = _expanded(source, made, dtype, shard_bytes)
        else:
            said = _exported(source, made, step, dtype, shard_bytes, is_sparse=is_sparse)
        said = msgspec.structs.replace(said, version=__version__, command=command, sha256=digest(made))
        write_json(made / EXPORT_FILE, msgspec.to_builtins(said))
        write_atomically(made / CARD_FILE, model_card(said).encode())
        made.replace(out)
    except OSError as error:
        raise cannot_write(out, error) from None
    finally:
        shutil.rmtree(made, ignore_errors=True)
        with suppress(OSError):  # not empty: it went well
            for folder in new:
                folder.rmdir()
    return said


def exportable(checkpoint: Checkpoint, end_id: int | None) -> Exportable:
    """The model of a checkpoint, whose parameters are read as they are asked for; `end_id` ends a document."""
    config = checkpoint.meta.config
    return Exportable(
        shape=config.shape,
        multipliers=forward_multipliers(config.parameters_transfer_by, config.shape),
        # Of one parameter there may be three tensors, one after the other.
        weight=lru_cache(maxsize=1)(lambda name: checkpoint.dense(WEIGHT, name)),
        mask=lru_cache(maxsize=1)(checkpoint.mask),
        end_id=end_id,
    )


def _exported(
    run_dir: Path, folder: Path, step: int | None, dtype: Dtype, shard_bytes: int, *, is_sparse: bool
) -> Export:
    """The model of a run's checkpoint, in the folder."""
    checkpoint = _checkpoint(run_dir, step)
    config, step = checkpoint.meta.config, checkpoint.meta.step
    if is_sparse and not any(map(checkpoint.has_mask, checkpoint.parameters)):
        raise SpecError(f"{run_dir}: the run is dense: leave --sparse out")
    tokenizer = checkpoint.meta.data.tokenizer
    tokens = write_tokenizer(run_dir, folder, config, tokenizer)
    model = exportable(checkpoint, tokens.end_id)
    paths = write_model(folder, model, dtype=_DTYPES[dtype], is_sparse=is_sparse, shard_bytes=shard_bytes)
    hidden = config.sparsity_plan.hidden
    sizes = {name: math.prod(checkpoint.shape(name)) for name in checkpoint.parameters}
    return Export(
        run=run_dir.resolve().name,
        step=step,
        checkpoint_sha256=checkpoint.meta.sha256,
        n_bytes=sum(path.stat().st_size for path in paths),
        architecture=FAMILIES[layout_of(config.shape)].architecture,
        dtype=dtype,
        is_sparse=is_sparse,
        is_untied=must_untie(config.shape, model.multipliers),
        density=sum(map(checkpoint.n_live, hidden)) / sum(sizes[name] for name in hidden),
        params=sum(sizes.values()),
        nonzero_params=sum(map(checkpoint.n_live, checkpoint.parameters)),
        data=config.data,
        tokenizer=tokenizer,
        tokenizer_sha256=tokens.sha256,
        tokens=step * config.tokens_per_step,
        val_loss=_val_loss(run_dir / RUN_FILE, step),
        shape=config.shape,
        parametrization=config.parameters_transfer_by,
    )


def _expanded(source: Path, folder: Path, dtype: Dtype, shard_bytes: int) -> Export:
    """A sparse export, dense, in the folder."""
    said = read_export(source)
    if said is None:
        raise SpecError(f"{source}: there is no {EXPORT_FILE}, which every export has")
    tensors, config = read_tensors(source), read_json(source / CONFIG)
    paths = write_weights(folder, sources_of_folder(tensors, _DTYPES[dtype]), shard_bytes)
    copy_tokenizer(source, folder)
    write_json(folder / CONFIG, config | {"torch_dtype": str(_DTYPES[dtype]).removeprefix("torch.")})
    n_bytes = sum(path.stat().st_size for path in paths)
    return msgspec.structs.replace(said, dtype=dtype, is_sparse=False, n_bytes=n_bytes)


def _val_loss(rows: Path, step: int) -> float | None:
    """Measured after a step; None where nobody did."""
    logged = read_rows(rows) if rows.is_file() else []
    return next((row.val_loss for row in logged if row.step == step), None)


def _checkpoint(run_dir: Path, step: int | None) -> Checkpoint:
    if step is not None:
        path = tensor_path(run_dir, step)
        if not path.is_file():
            there = saved_steps(run_dir)
            known = f"there are those of steps {', '.join(map(str, there))}" if there else "there is none"
            raise SpecError(f"{run_dir}: there is no checkpoint of step {step}; {known}")
        return load_checkpoint(path.with_suffix(".json"))
    newest, _ = load_latest(run_dir)
    if newest is None:
        require_folder(run_dir)
        require_one_run(run_dir)
        raise SpecError(f"{run_dir}: there is no checkpoint in {run_dir / FOLDER}: name the folder of a training run")
    return newest
