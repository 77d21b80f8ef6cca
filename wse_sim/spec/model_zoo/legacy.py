"""The flat form that came before `trainer:` (train_input, model, optimizer, runconfig), moved into the published form.

Source: Cerebras ModelZoo 2.10, trainer/utils.py, which moves the same keys.
"""

from typing import Any

from wse_sim.errors import SpecError
from wse_sim.spec.model_zoo.yaml_text import YamlDocument

SECTIONS = ("train_input", "eval_input", "model", "optimizer", "runconfig", "sparsity")
_PRECISION = {
    "model": {"mixed_precision": "enabled", "fp16_type": "fp16_type"},
    "optimizer": {
        "loss_scaling_factor": "loss_scaling_factor", "initial_loss_scale": "initial_loss_scale",
        "steps_per_increase": "steps_per_increase", "min_loss_scale": "min_loss_scale",
        "max_loss_scale": "max_loss_scale", "max_gradient_norm": "max_gradient_norm",
        "max_gradient_value": "max_gradient_value", "log_summaries": "log_loss_scale",
    },
    "runconfig": {"precision_opt_level": "precision_opt_level"},
}  # fmt: skip
_LOOP = ("num_steps", "max_steps", "num_epochs", "steps_per_epoch", "eval_frequency", "eval_steps")
_CHECKPOINT = {
    "checkpoint_steps": "steps", "save_initial_checkpoint": "save_initial_checkpoint",
    "autoload_last_checkpoint": "autoload_last_checkpoint",
    "disable_strict_checkpoint_loading": "disable_strict_checkpoint_loading",
}  # fmt: skip
_PARTS = ("model", "optimizer", "runconfig")
_OPTIMIZERS = {"adamw": "AdamW", "adam": "Adam", "sgd": "SGD"}


def is_legacy(content: dict[str, Any]) -> bool:
    """The document has no `trainer:` but what came before it."""
    return "trainer" not in content and set(_PARTS) <= set(content)


def moved(document: YamlDocument) -> YamlDocument:
    """The document in the published form; its lines are not known any more.

    Raises
    ------
    SpecError
        When a part that is moved is no mapping.
    """
    old = dict(document.content)
    parts = {key: _mapping(old.pop(key), document.place((key,))) for key in _PARTS}
    model, optimizer, runconfig = parts.values()
    precision = {
        new: parts[part].pop(key)
        for part, keys in _PRECISION.items()
        for key, new in keys.items()
        if key in parts[part]
    }
    model.setdefault("name", "bert" if "encoder_nonlinearity" in model or "mlm_loss_weight" in model else "gpt3")
    rates = optimizer.pop("learning_rate", None)
    kind = str(optimizer.pop("optimizer_type", "AdamW"))
    init: dict[str, Any] = {
        "backend": {"cluster_config": {"num_csx": runconfig.pop("num_csx")}} if "num_csx" in runconfig else {},
        "model": model,
        "optimizer": {_OPTIMIZERS.get(kind.lower(), kind): optimizer},
        "precision": precision,
        "loop": {key: runconfig.pop(key) for key in _LOOP if key in runconfig},
        "checkpoint": {new: runconfig.pop(key) for key, new in _CHECKPOINT.items() if key in runconfig},
        "logging": {"log_steps": runconfig.pop("log_steps")} if "log_steps" in runconfig else {},
    }
    if isinstance(rates, list | dict):
        where = document.place(("optimizer", "learning_rate"))
        init["schedulers"] = [_schedulers(rates if isinstance(rates, list) else [rates], where)]
    elif rates is not None:
        optimizer["learning_rate"] = rates
    for key in ("seed", "model_dir"):
        if key in runconfig:
            init[key] = runconfig.pop(key)
    if "sparsity" in old:
        init["sparsity"] = old.pop("sparsity")
    fit = {"train_dataloader": old.pop("train_input", {}), "val_dataloader": old.pop("eval_input", None)}
    if "checkpoint_path" in runconfig:
        fit["ckpt_path"] = runconfig.pop("checkpoint_path")
    trainer = {"init": init, "fit": fit, "runconfig": runconfig}
    return YamlDocument(where=document.where, content={"trainer": trainer, **old}, lines={})


def _mapping(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SpecError(f"{where} is {value}, it must be a mapping")
    return dict(value)


def _schedulers(rates: list[Any], where: str) -> dict[str, Any]:
    """`SequentialLR` of the schedulers, whose names had no ending."""
    named = []
    for rate in rates:
        table = _mapping(rate, where)
        name = str(table.pop("scheduler", "Constant"))
        if "steps" in table:
            table["total_iters"] = table.pop("steps")
        named.append({name if name.endswith("LR") else f"{name}LR": table})
    return {"SequentialLR": {"schedulers": named}}
