"""Keys of the published form that change nothing here, and why."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Literal

from wse_sim.spec.model_zoo.yaml_text import KeyPath

_SAME = "how Cerebras software computes it, not what"
_OF_THEIR_CLUSTER = "about the user's own cluster and its software"
_READING = "about the program that reads the data; wse-sim has its own"
_REPORTING = "about what is written down while the run goes; wse-sim writes its own"
_GENERATING = "about generating text"
_VALIDATING = "the held-out part of the data is what evaluates here"
_NO_SCALING = "bfloat16 has the range of float32: losses need no scaling here"

Affects = Literal["nothing", "training", "simulation", "both"]

# The part of the path after `trainer.`, the first match wins; whose result would be another one if it were followed.
_REASONS: Mapping[str, tuple[str, Affects]] = {
    "init.backend.cluster_config.*": (_OF_THEIR_CLUSTER, "nothing"),
    "init.backend.*": (_OF_THEIR_CLUSTER, "nothing"),
    "init.device": ("wse-sim simulates a wafer-scale cluster, and trains on what is at hand (--device)", "nothing"),
    "init.model_dir": ("runs go into a folder of their own (--out)", "nothing"),
    "init.loggers*": (_REPORTING, "nothing"),
    "init.logging.*": (_REPORTING, "nothing"),
    "init.autorestart*": (_OF_THEIR_CLUSTER, "nothing"),
    "init.checkpoint.disable_strict_checkpoint_loading": ("about loading a checkpoint of theirs", "nothing"),
    "init.checkpoint.autoload_last_checkpoint": ("--resume goes on with an interrupted run", "nothing"),
    "init.checkpoint.*": ("checkpoints here are wse-sim's own: the last two are kept", "nothing"),
    "init.loop.*": ("steps are said by max_steps", "nothing"),
    "init.model.mlm_loss_weight": ("encoders are simulated, not trained", "nothing"),
    "init.model.attention_kernel": (_SAME, "nothing"),
    "init.model.attention_softmax_fp32": (_SAME, "nothing"),
    "init.model.boundary_casting": (_SAME, "nothing"),
    "init.model.fold_rope_consts": (_SAME, "nothing"),
    "init.model.use_experimental_flex_api": (_SAME, "nothing"),
    "init.model.dtype": (_SAME, "nothing"),
    "init.model.compute_eval_metrics": (_REPORTING, "nothing"),
    "init.model.start_token": (_GENERATING, "nothing"),
    "init.model.stop_sequences": (_GENERATING, "nothing"),
    "init.model.max_tokens": (_GENERATING, "nothing"),
    "init.model.loop_dim": (_GENERATING, "nothing"),
    "init.model.temperature": (_GENERATING, "nothing"),
    "init.model.top_[kp]": (_GENERATING, "nothing"),
    "init.model.alibi_trainable_slopes": ("slopes of ALiBi are fixed here", "training"),
    "init.model.disable_nsp": ("encoders predict masked tokens and nothing else here", "simulation"),
    "init.model.pooler_nonlinearity": ("the pooler of an encoder is not simulated", "simulation"),
    "init.model.mask_padding_in_positional_embed": (_SAME, "nothing"),
    "init.model.use_untied_layer_norm": ("attention and feed-forward come one after the other here", "training"),
    "init.callbacks*": ("callbacks watch or steer a run of theirs; wse-sim has its own", "nothing"),
    "init.precision.precision_opt_level": (_SAME, "nothing"),
    "init.precision.loss_scaling_factor": (_NO_SCALING, "nothing"),
    "init.precision.*loss_scale": (_NO_SCALING, "nothing"),
    "init.precision.steps_per_increase": (_NO_SCALING, "nothing"),
    "init.sparsity.*add_summaries": (_REPORTING, "nothing"),
    "fit.train_dataloader.micro_batch_size": ("--microbatch, or the fastest that fits", "nothing"),
    "fit.train_dataloader.shuffle": ("sequences are drawn in an order of the seed, each once per epoch", "nothing"),
    "fit.train_dataloader.shuffle_seed": ("the order of the data follows the run's seed", "nothing"),
    "fit.train_dataloader.masked_lm_prob": ("0.15 of the places of an encoder are predicted", "nothing"),
    "fit.train_dataloader.vocab_size": ("the model's own vocabulary counts", "nothing"),
    "fit.train_dataloader.*": (_READING, "nothing"),
    "fit.ckpt_path": ("the run starts from its initial weights, not from a checkpoint of theirs", "training"),
    "validate*": (_VALIDATING, "nothing"),
    # What is left of the flat form.
    "runconfig.*": (_OF_THEIR_CLUSTER, "nothing"),
    "wandb*": (_REPORTING, "nothing"),
}


def reason_for(path: KeyPath) -> tuple[str, Affects] | None:
    """Why a key is not followed, and whose result that changes; None where nothing is known about it."""
    keys = [step for step in path if isinstance(step, str) and step != "trainer"]
    name = ".".join(keys)
    return next((reason for pattern, reason in _REASONS.items() if fnmatchcase(name, pattern)), None)
