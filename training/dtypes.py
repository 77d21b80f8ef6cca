"""The numbers of each precision."""

from collections.abc import Mapping

import torch

from training.execution import Precision

DTYPES: Mapping[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}
