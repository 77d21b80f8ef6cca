"""Masks of a trained run: read from its checkpoint, and scaled from the small model that trained to the full size.

A mask that static random sparsity draws is even: a full-size mask of its density is one more draw of the same kind. A
mask that training has changed (RigL, SET, gradual magnitude pruning) favours some channels. What is carried over is how
uneven its rows and its columns are, beyond what chance alone makes of so few weights.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors

from wse_sim.errors import SpecError
from wse_sim.files import open_file, require_folder
from wse_sim.spec.written import as_whole_number
from wse_sim.wafer.dataflow import LayerWork, counts_of_mask, layer_work, window_rows
from wse_sim.wafer.draws import Counts, Densities, drawn_counts, drawn_fullest, seeded
from wse_sim.wafer.mesh import Mesh
from wse_sim.workload.transformer import Matrix

Mask = npt.NDArray[np.bool_]

CHECKPOINTS = "checkpoints"
_WEIGHTS, _PREFIX, _SUFFIX, _MASK = "model.", "model.blocks.", ".weight_mask", "_mask"
# The trainer's modules -> the matrices that lie one above the other in their weights.
_MATRICES_OF = {
    "attention.qkv": ("q", "k", "v"),
    "attention.out": ("attention_out",),
    "mlp.gate": ("ffn_gate",),
    "mlp.up": ("ffn_up",),  # `ffn_in` where there is no gate
    "mlp.down": ("ffn_out",),
}
# Of a feed-forward layer with a gate and one without, where one trained and the other is simulated.
_STANDS_FOR = {"ffn_gate": "ffn_in", "ffn_up": "ffn_in", "ffn_in": "ffn_up"}
_NEEDED = {"q", "k", "v", "attention_out", "ffn_up", "ffn_out"}  # of each block
_NAME, _SHAPE = re.compile(r"step-[0-9]{1,18}"), re.compile(r"[0-9]{1,9}x[0-9]{1,9}")
# Standard deviations of chance beyond which unevenness is taken for real: one false alarm in 1e5 masks of 32 channels.
_SURE = 6.0


@dataclass(frozen=True, eq=False)
class RunMasks:
    """The masks of a trained run. Its blocks are spread evenly over the depth of the model it stands for.

    Parameters
    ----------
    step :
        Of the checkpoint they were read from.
    blocks :
        By block, then by name of the matrix as `linear_matrices` has it: (n_out, n_in).
    """

    step: int
    blocks: tuple[dict[str, Mask], ...]

    @property
    def density(self) -> float:
        """Non-zeros over weights, all masks together."""
        n_weights = sum(mask.size for block in self.blocks for mask in block.values())
        return sum(sum(block.values()) for block in self._nonzeros) / n_weights

    def density_of(self, matrix_name: str, trained_block: int) -> float:
        """Non-zeros over weights of one mask."""
        name = self._trained_name(matrix_name)
        return self._nonzeros[trained_block][name] / self.blocks[trained_block][name].size

    def trained_block(self, block: int, n_blocks: int) -> int:
        """The trained block that stands for block `block` of `n_blocks`."""
        return block * len(self.blocks) // n_blocks

    def mask(self, trained_block: int, name: str) -> Mask:
        """(n_out, n_in) of the matrix that stands for the one called `name`."""
        return self.blocks[trained_block][self._trained_name(name)]

    def work(
        self, matrix: Matrix, trained_block: int, mesh: Mesh, n_tokens: int, *, seed: int, transposed: bool = False
    ) -> LayerWork:
        """What a matrix of the full-size model takes on the mesh.

        The trained mask itself where it has the matrix's shape; else a drawn one of its density, whose rows and columns
        are as uneven as the trained one's.

        Parameters
        ----------
        transposed :
            The product dX = W^T dY.
        """
        shape = (matrix.n_in, matrix.n_out) if transposed else (matrix.n_out, matrix.n_in)
        group = mesh.channel_group(shape[1])
        fullest, n_nonzeros = _fullest(self, matrix, trained_block, transposed, group, mesh.window_rows, seed)
        return layer_work(fullest, n_nonzeros, *shape, mesh, n_tokens)

    def spreads(self, name: str) -> tuple[float, float]:
        """Shares of the unevenness of a matrix's rows, and of its columns, that are real; all blocks give evidence."""
        return self._spreads[self._trained_name(name)]

    def _trained_name(self, name: str) -> str:
        return name if name in self.blocks[0] else _STANDS_FOR[name]

    @cached_property
    def _nonzeros(self) -> list[dict[str, int]]:
        return [{name: int(mask.sum()) for name, mask in block.items()} for block in self.blocks]

    @cached_property
    def _spreads(self) -> dict[str, tuple[float, float]]:
        masks = {name: [block[name] for block in self.blocks] for name in self.blocks[0]}
        return {name: (real_share([mask.T for mask in of]), real_share(of)) for name, of in masks.items()}


@lru_cache(maxsize=4096)
def _fullest(
    run: RunMasks, matrix: Matrix, trained_block: int, transposed: bool, group: int, rows: int, seed: int
) -> tuple[Counts, int]:
    """Non-zeros of the fullest column of each window, and of the whole matrix."""
    mask, spreads = run.mask(trained_block, matrix.name), run.spreads(matrix.name)
    shape = (matrix.n_out, matrix.n_in)
    if transposed:
        mask, spreads, shape = mask.T, spreads[::-1], shape[::-1]
    n_nonzeros = _scaled_nonzeros(mask, shape)
    name = f"{matrix.name}/{trained_block}/{transposed}"
    if mask.shape == shape:
        counts = counts_of_mask(mask, group, rows)
    elif spreads == (0.0, 0.0):
        return drawn_fullest(*shape, n_nonzeros, group, rows, seed, name), n_nonzeros
    else:
        counts = stretched_counts(mask, shape, group, rows, np.random.Generator(seeded(seed, name)), spreads=spreads)
    return counts.max(axis=1), n_nonzeros


def read_run_masks(run_dir: Path) -> RunMasks:
    """The masks in the newest whole checkpoint of a run's folder.

    Raises
    ------
    SpecError
        When there is no checkpoint, it cannot be read, or the run was dense.
    """
    # Written last: without one, there is no checkpoint.
    whole = sorted(path for path in (run_dir / CHECKPOINTS).glob("step-*.json") if _NAME.fullmatch(path.stem))
    if not whole:
        require_folder(run_dir)
        raise SpecError(f"{run_dir}: no checkpoint in {run_dir / CHECKPOINTS}: name the folder of a training run")
    path = whole[-1].with_suffix(".safetensors")
    try:
        open_file(path).close()  # or the library would wait for the other end of a pipe
        with safetensors.safe_open(path, framework="numpy") as file:
            shapes = file.metadata() or {}
            masks = {name: _unpacked(file, name, shapes) for name in file.keys() if name.endswith(_SUFFIX)}  # noqa: SIM118
            if masks:
                masks |= {f"{name}{_MASK}": _ones(file, name) for name in file.keys() if _is_dense(name, masks)}  # noqa: SIM118
    except (OSError, KeyError, ValueError, safetensors.SafetensorError) as error:
        raise SpecError(f"{path}: the checkpoint cannot be read ({error})") from None
    if not masks:
        raise SpecError(f"{path}: the run is dense, it has no masks: simulate density 1 instead")
    return RunMasks(step=int(path.stem.removeprefix("step-")), blocks=_by_block(masks, path))


def stretched_counts(
    mask: Mask,
    shape: tuple[int, int],
    group: int,
    rows_per_window: int,
    rng: np.random.Generator,
    *,
    spreads: tuple[float, float],
) -> Counts:
    """(n_windows, n_columns): counts of a drawn mask of another shape, as dense and as uneven as `mask`.

    Every channel of the full size takes the relative density of a channel of `mask`: each of those equally often, in
    random order, because neighbouring channels of a layer have nothing in common. A place is taken with the product of
    its row's and its column's; the total is exact.

    Parameters
    ----------
    spreads :
        Share of the unevenness of rows and of columns that is real (`real_share`).
    """
    rows, columns = (
        rng.permutation(_stretched(relative_density(side, spread), n))
        for side, n, spread in ((mask.T, shape[0], spreads[0]), (mask, shape[1], spreads[1]))
    )
    slots = np.outer(window_rows(shape[0], rows_per_window), window_rows(shape[1], group))
    row_means = _means(rows, rows_per_window)
    column_means = _means(columns, group)
    densities = np.minimum(1.0, float(mask.mean()) * np.outer(row_means, column_means))
    return drawn_counts(slots, densities, _scaled_nonzeros(mask, shape), rng)


def relative_density(mask: Mask, spread: float) -> Densities:
    """(n_in,): density of each column of `mask` over the mean, drawn in so that `spread` of its deviation is left."""
    relative: Densities = mask.mean(axis=0) / mask.mean()
    return 1.0 + spread * (relative - 1.0)


def real_share(masks: Iterable[Mask]) -> float:
    """Share, 0 to 1, of the deviation of the columns' densities that chance does not explain.

    A uniformly random mask of n x m weights scatters its columns' counts with the hypergeometric variance. Where the
    counts of all `masks` together scatter more than chance does in `_SURE` standard deviations, the excess variance is
    real, and the root of its share is returned; else 0: a small proxy says nothing finer, and taking its chance for
    structure would make the full size far too uneven.
    """
    observed = degrees = 0.0
    for mask in masks:
        n_places, n_columns = mask.shape
        density = mask.mean()
        chance = n_places * density * (1.0 - density) * (mask.size - n_places) / (mask.size - 1)
        if n_columns == 1 or chance == 0.0:
            continue
        observed += (n_columns - 1) * float(mask.sum(axis=0).var()) / chance
        degrees += n_columns - 1
    if degrees == 0.0 or observed <= degrees + _SURE * (2.0 * degrees) ** 0.5:
        return 0.0
    return float((1.0 - degrees / observed) ** 0.5)


def _scaled_nonzeros(mask: Mask, shape: tuple[int, int]) -> int:
    return max(1, int(mask.sum()) * shape[0] * shape[1] // mask.size)


def _stretched(densities: Densities, n: int) -> Densities:
    return densities[np.arange(n) * len(densities) // n]


def _means(densities: Densities, size: int) -> Densities:
    sums: Densities = np.add.reduceat(densities, np.arange(0, len(densities), size))
    return sums / window_rows(len(densities), size)


def _unpacked(file: Any, name: str, shapes: Mapping[str, str]) -> Mask:
    """A mask, in the shape of its weight: the trainer packs eight places into a byte.

    Parameters
    ----------
    shapes :
        `128x32`, by the parameter's name: of a masked one the file holds the live numbers alone.
    """
    said = shapes[name.removeprefix(_WEIGHTS).removesuffix(_MASK)]
    if not _SHAPE.fullmatch(said):
        raise ValueError(f"the shape of {name} is {said!r}")
    shape, bits = tuple(map(int, said.split("x"))), file.get_tensor(name)
    if bits.dtype != np.uint8 or bits.shape != (-(-shape[0] * shape[1] // 8),):
        raise ValueError(f"{name} is no mask of {said} weights")
    places = np.unpackbits(bits, count=shape[0] * shape[1])
    return places.reshape(shape).astype(np.bool_)


def _is_dense(name: str, masks: Mapping[str, Mask]) -> bool:
    """A matrix of a block that is not masked, though others are."""
    module = name.removeprefix(_PREFIX).removesuffix(".weight").partition(".")[2]
    return name.startswith(_PREFIX) and module in _MATRICES_OF and f"{name}{_MASK}" not in masks


def _ones(file: Any, name: str) -> Mask:
    return np.ones(file.get_slice(name).get_shape(), dtype=np.bool_)


def _by_block(masks: dict[str, Mask], path: Path) -> tuple[dict[str, Mask], ...]:
    blocks: dict[int, dict[str, Mask]] = {}
    for name, mask in masks.items():
        text, _, module = name.removeprefix(_PREFIX).removesuffix(_SUFFIX).partition(".")
        number = as_whole_number(text)
        if not name.startswith(_PREFIX) or number is None or module not in _MATRICES_OF:
            known = ", ".join(f"{_PREFIX}<block>.{module}{_SUFFIX}" for module in _MATRICES_OF)
            raise SpecError(f"{path}: unknown mask {name!r}: known are {known}")
        blocks.setdefault(number, {}).update(zip(_MATRICES_OF[module], _parts(module, mask), strict=True))
    for which, block in sorted(blocks.items()):
        if set(block) != set(blocks.get(0, ())) or not set(block).issuperset(_NEEDED):
            raise SpecError(f"{path}: block {which} has masks of {', '.join(block)} alone: the checkpoint is damaged")
    for block in blocks.values():
        if "ffn_gate" not in block:
            block["ffn_in"] = block.pop("ffn_up")
    return tuple(blocks[number] for number in sorted(blocks))


def _parts(module: str, mask: Mask) -> list[Mask]:
    """Of a module's matrices: there are as many queries as inputs, keys and values share the rest."""
    if module != "attention.qkv":
        return [mask]
    n_out, n_in = mask.shape
    return np.split(mask, [n_in, (n_in + n_out) // 2])
