"""What is taken where a user says nothing: the same on the command line and from Python, by parameter."""

from collections.abc import Mapping
from typing import Any, Final

Defaults = Mapping[str, Any]

RUN: Final[Defaults] = {"system": "cs2", "sparse_wide": False, "release": "r2", "seed": 0}
IMPERFECTIONS: Final[Defaults] = {"jitter": 0.0, "straggler": 1.0, "sparsity_algorithm": "static"}
ECONOMICS: Final[Defaults] = {"price_basis": "rental"}
OPERATIONS: Final[Defaults] = {"no_failures": False}
GPUS: Final[Defaults] = {"gpu": "h100", "gpu_software": "megatron", "precision": "bf16", "two_four": False}

SIMULATE: Final[Defaults] = {**RUN, **IMPERFECTIONS, **ECONOMICS, **OPERATIONS}
COMPARE: Final[Defaults] = {**SIMULATE, **GPUS, "layouts": 0}
PLAN: Final[Defaults] = {"system": "cs2,cs3", "release": "r2", "seed": 0, **ECONOMICS, **OPERATIONS}
SWEEP: Final[Defaults] = {"train": False, "engine": "event", "executor": "local"}
PROJECT: Final[Defaults] = {"law": "auto", "convention": "paper", "seed": 0}
HOST: Final[Defaults] = {"mode": "auto", "clip": "1.0", "moments": "fp32", "compile": False, "sharding": "ddp"}
TRAIN: Final[Defaults] = {
    **RUN,
    "sparsity_algorithm": "static",
    "schedule": "linear",
    "gpu": "h100",
    "gpu_software": "megatron",
    "budget": "3m",
    **HOST,
    "data": "stdlib",
    "tokenizer": "bytes",
    "text_field": "text",
    "remeasure": False,
}
