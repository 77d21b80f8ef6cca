"""The pieces of a model that are timed, with numbers in them that are made up: no time depends on their values.

Shapes of tensors: B sequences, T places, D d_model, C three times the width of some heads.
"""

from collections.abc import Iterable

import msgspec
import torch
from torch import Tensor, nn

from models.attention import Attention
from models.dot_product import DOT_PRODUCTS
from models.gpt import GPT, meta_model
from models.parametrization import EffectiveTensor, effective_table, forward_multipliers
from models.roles import HIDDEN_ROLES
from models.sparse import Masks
from training.config import TrainConfig
from training.dtypes import DTYPES
from training.executor import Batch, autocast
from training.streaming.linear import StreamedLinear
from training.turns import Work

_PATTERN_NUMBERS = 2**20  # drawn; the rest of a tensor repeats them
_SLOPE = 1e-3


def skeleton(config: TrainConfig) -> tuple[GPT, list[EffectiveTensor]]:
    """The model with one block and no memory, and the rules of its tensors."""
    shape = msgspec.structs.replace(config.shape, n_layers=1)
    parametrization = config.parameters_transfer_by
    model = meta_model(shape, forward_multipliers(parametrization, shape))
    return model, effective_table(model, shape, parametrization, {}, config.weight_decay, config.eps)


def filled(model: GPT, table: Iterable[EffectiveTensor], config: TrainConfig) -> GPT:
    """The model with memory, and made-up numbers in the parameters of the rows."""
    model.to_empty(device=config.execution.device)
    model.dot_product.fill_tables()
    for row in table:
        tensor = model.get_parameter(row.name).detach()
        if row.start == "normal":
            _repeat(tensor, row.init_std)
        else:
            tensor.fill_(1.0 if row.start == "one" else 0.0)
    return model


def _repeat(tensor: Tensor, std: float) -> None:
    """Fill a tensor with the same normal draws over and over: to draw each number would take longer than to time it."""
    flat = tensor.view(-1)
    pattern = (std * torch.randn(min(flat.numel(), _PATTERN_NUMBERS), generator=_generator())).to(tensor)
    for piece in torch.split(flat, len(pattern)):
        piece.copy_(pattern[: len(piece)])


def made_up_masks(model: GPT, rows: Iterable[EffectiveTensor], config: TrainConfig) -> Masks:
    """As many ones as the density asks for, about, in each hidden matrix of the rows."""
    masked = {}
    for row in rows:
        if row.role in HIDDEN_ROLES and config.density < 1.0:
            weight = model.get_parameter(row.name)
            draws = torch.rand(weight.shape, generator=_generator())
            masked[row.name] = (weight, (draws < config.density).to(weight.device))
    return Masks(masked)


def with_streamed_linears(block: nn.Module, config: TrainConfig) -> list[StreamedLinear]:
    """Give a block linear layers that read a buffer, in the place of its own."""
    found = []
    linears = [(name, module) for name, module in block.named_modules() if isinstance(module, nn.Linear)]
    for name, linear in linears:
        buffer = empty(linear.weight.numel(), config).view_as(linear.weight)
        _repeat(buffer, linear.in_features**-0.5)
        parent, _, own_name = name.rpartition(".")
        found.append(StreamedLinear(buffer, linear.bias))
        setattr(block.get_submodule(parent), own_name, found[-1])
    return found


def empty(n: int, config: TrainConfig) -> Tensor:
    """Memory for (n,) numbers, in the precision of products and where these run."""
    return torch.empty(n, dtype=DTYPES[config.execution.precision], device=config.execution.device)


def residual_stream(config: TrainConfig, n_sequences: int, n_places: int) -> tuple[Tensor, Tensor]:
    """What a block takes, and a derivative by what it gives."""
    x_BTD = torch.randn(n_sequences, n_places, config.shape.d_model, generator=_generator())
    x_BTD = x_BTD.to(config.execution.device)
    return x_BTD, torch.full_like(x_BTD, _SLOPE)


def made_up_tokens(config: TrainConfig, n_sequences: int, n_places: int) -> Batch:
    """Inputs and targets from all over the vocabulary."""
    size = (n_sequences, n_places + 1)
    tokens_BT = torch.randint(config.shape.vocab_size, size, generator=_generator()).to(config.execution.device)
    return tokens_BT[:, :-1].contiguous(), tokens_BT[:, 1:].contiguous()


def there_and_back(config: TrainConfig, block: nn.Module, x_BTD: Tensor, slope_BTD: Tensor) -> None:
    """A block forward and back."""
    leaf_BTD = x_BTD.detach().requires_grad_()
    with autocast(config, x_BTD.device):
        y_BTD = block(leaf_BTD)
    torch.autograd.backward(y_BTD, slope_BTD)


def attention_work(config: TrainConfig, n_heads: int, n_places: int) -> Work:
    """What some heads of the model's attention take from all places of one sequence, forward and back.

    Without its linear layers, which are timed on fewer places.
    """
    shape = config.shape
    narrow = msgspec.structs.replace(
        shape,
        d_model=n_heads * shape.d_head,
        n_heads=n_heads,
        n_kv_heads=n_heads * shape.kv_heads // shape.n_heads,
        seq_len=n_places,
    )
    dot_product = DOT_PRODUCTS[shape.positions](narrow).to(config.execution.device)
    attention = Attention(narrow, dot_product, 1.0 / shape.d_head)
    for name in ("qkv", "out"):
        setattr(attention, name, nn.Identity())
    n_channels = (n_heads + 2 * narrow.kv_heads) * shape.d_head
    qkv_BTC = torch.randn(1, n_places, n_channels, generator=_generator())
    leaf_BTC = qkv_BTC.to(config.execution.device, DTYPES[config.execution.precision]).requires_grad_()
    slope_BTD = torch.full_like(leaf_BTC[..., : narrow.d_model].detach(), _SLOPE)

    def work() -> None:
        leaf_BTC.grad = None
        with autocast(config, leaf_BTC.device):
            y_BTD = attention(leaf_BTC)
        torch.autograd.backward(y_BTD, slope_BTD)

    return work


def _generator() -> torch.Generator:
    """Draws of their own: a program that measures has the random numbers that it would have had."""
    return torch.Generator().manual_seed(0)
