"""What a comparison comes to in sentences, and what a reader must know before using it."""

import math
from collections.abc import Iterator, Mapping

from wse_sim.laws.published import published_laws
from wse_sim.report.comparison import Comparison, GpuWay
from wse_sim.report.headline import gpu_in_words, system_in_words
from wse_sim.report.quantities import data_size, energy, money, percent, significant
from wse_sim.spec.run import Run

_SAME_TPP = 0.01
_MUCH_FASTER = 1.1
_LARGEST_SERVER = 16  # GPUs; more that are linked directly are a rack
FULL_MEMORY = 0.9  # of a GPU: published runs that fill more of it come out up to FULL_MEMORY_ERROR fast
FULL_MEMORY_ERROR = 0.27  # of the rows of data/validation/gpu.toml


def headline(comparison: Comparison) -> str:
    """How many GPUs equal one system for this run, and which cluster equals all systems, in two sentences."""
    return f"{_one_system(comparison)} {_all_systems(comparison)}"


def notes(comparison: Comparison, run: Run, programs: Mapping[str, float], *, is_equal_price: bool) -> tuple[str, ...]:
    """What was assumed, and what the figures leave out.

    Parameters
    ----------
    programs :
        Tokens/s per GPU with each program, the fastest first.
    is_equal_price :
        The number of GPUs was chosen by their price.
    """
    return (
        *_about_the_gpus(comparison, is_equal_price=is_equal_price),
        *_about_the_program(comparison, programs),
        *_about_the_masks(comparison, run),
        *_about_the_bill(comparison),
        *_about_the_loss(comparison),
    )


def _one_system(comparison: Comparison) -> str:
    equal, gpu = comparison.gpus_per_csx, gpu_in_words(comparison.gpu.gpu)
    system = system_in_words(comparison.wafer.system)
    text = f"One {system} does the work of {significant(equal.value)} {gpu} "
    text += f"({significant(equal.low)} … {significant(equal.high)}) in this run"
    if comparison.density < 1:
        text += f" at density {comparison.density:g}, and of {significant(equal.dense)} when it is dense"
    if equal.by_price is not None:
        verb = "rents" if comparison.price_basis == "rental" else "costs"
        text += f"; it {verb} for what {significant(equal.by_price)} do"
    text += "."
    return f"{text} Here one {gpu} is faster than one {system}." if equal.value < 1 else text


def _all_systems(comparison: Comparison) -> str:
    equal, wafer, gpu = comparison.gpus_per_csx, comparison.wafer, gpu_in_words(comparison.gpu.gpu)
    systems = f"all {wafer.num_csx}" if wafer.num_csx > 1 else "it"
    if equal.num_gpus is None:
        return f"No number of {gpu} is as fast as {systems}: {equal.reason}."
    faster = equal.fastest_tokens_per_s / wafer.tokens_per_s
    by = f", {significant(faster)} times as fast" if faster >= _MUCH_FASTER else ""
    n_servers, rest = divmod(equal.num_gpus, equal.gpus_per_server)
    of = "rack" if equal.gpus_per_server > _LARGEST_SERVER else "server"
    servers = f"of one {of}" if rest else f"in {n_servers:,} {of}" + ("s" if n_servers > 1 else "")
    return f"As fast as {systems}: {equal.num_gpus:,} {gpu} {servers}{by}."


def _about_the_gpus(comparison: Comparison, *, is_equal_price: bool) -> Iterator[str]:
    wafer, gpu = comparison.wafer, comparison.gpu
    if is_equal_price:
        per_h = money(gpu.usd_per_unit_h * gpu.num_gpus), money(wafer.usd_per_unit_h * wafer.num_csx)
        yield (
            f"{gpu.num_gpus:,} {gpu_in_words(gpu.gpu)} because, of the numbers that work, so many come nearest to the "
            f"price of the wafers: {per_h[0]} an hour against {per_h[1]}"
        )
    n_linked = comparison.gpus_per_csx.gpus_per_server
    if n_linked <= _LARGEST_SERVER and gpu.num_gpus % n_linked:
        yield (
            f"{gpu.num_gpus:,} {gpu_in_words(gpu.gpu)} fill no whole number of servers of {n_linked}: power and price "
            "are counted by the GPU, their network as in full servers"
        )
    for way in (comparison.gpu_dense, comparison.gpu_two_four):
        if way is not None:
            yield from _about_a_layout(comparison, way)


def _about_a_layout(comparison: Comparison, way: GpuWay) -> Iterator[str]:
    """Where the batch does not divide over the copies of the model, and where their memory is nearly full."""
    batch, at_once = comparison.batch_size, way.dp * way.microbatch
    if batch % at_once:
        share = math.ceil(batch / way.dp)
        rest = share % way.microbatch
        last = f" in {math.ceil(share / way.microbatch)} micro-batches, the last of {rest}" if rest else ""
        unit = math.lcm(at_once, comparison.wafer.num_csx)
        below = batch // unit * unit
        others = f"{below} or {below + unit}" if below else f"{unit}"
        yield (
            f"{way.name}: {batch:,} sequences do not divide over dp {way.dp} × microbatch {way.microbatch}, as most "
            f"programs want it; counted is the copy of the model with most, {share}{last}; --batch-size {others} "
            "would divide"
        )
    memory = way.memory
    if memory.needed_bytes > FULL_MEMORY * memory.available_bytes:
        yield (
            f"{way.name}: memory is full to within a tenth, {data_size(memory.needed_bytes)} of "
            f"{data_size(memory.available_bytes)}: published runs of which that holds come out up to "
            f"{100 * FULL_MEMORY_ERROR:.0f} % fast here"
        )


def _about_the_program(comparison: Comparison, programs: Mapping[str, float]) -> Iterator[str]:
    others = [f"{name} {significant(rate)}" for name, rate in programs.items() if name != comparison.gpu.software]
    if others:
        own = significant(comparison.gpu.tokens_per_s_per_gpu)
        yield (
            f"the program matters: {comparison.gpu.software} reaches {own} tokens/s on each GPU (simulated), "
            f"{', '.join(others)} in the fastest layout that each can have"
        )


def _about_the_masks(comparison: Comparison, run: Run) -> Iterator[str]:
    gpu = comparison.gpu
    if comparison.density < 1:
        yield (
            f"the same masks bring a GPU nothing: masked to density {comparison.density:g} it takes as long as dense, "
            f"at {percent(gpu.mfu)} MFU by needed FLOPs, to the loss of that density"
        )
    if run.mask_updates is not None:
        yield "changing the masks is counted on the wafers only"
    if comparison.gpu_two_four is not None:
        yield (
            "2:4 is a pattern that the GPU's products skip: two of every four weights are zero, whatever density was "
            "asked for; the loss is that of density 0.5 and knows nothing of the pattern"
        )
    if run.jitter > 0 or run.straggler > 1:
        yield "jitter and straggler slow the wafers only"


def _about_the_bill(comparison: Comparison) -> Iterator[str]:
    wafer, gpu = comparison.wafer, comparison.gpu
    yield (
        "time, energy, carbon and cost are those of the steps; wall clock adds start, checkpoints and failures, whose "
        "rates are assumed for the wafers"
    )
    if wafer.energy_j_high > wafer.energy_j:
        yield (
            "energy: the wafers' is that of the systems alone, with their servers up to "
            f"{energy(wafer.energy_j_high)}; the GPUs' is that of whole servers, of the GPUs alone "
            f"{energy(gpu.energy_j_low)}"
        )
    per_h = [
        f"{money(way.usd_per_unit_h)} a {name}" + (f" ({way.price_as_of})" if way.price_as_of else "")
        for way, name in ((wafer, system_in_words(comparison.wafer.system)), (gpu, gpu_in_words(gpu.gpu)))
    ]
    yield f"{comparison.price_basis} per hour: {', '.join(per_h)}; grid: {comparison.grid}"
    yield (
        "ranges of tokens/s and of ratios: each constant at the ends of its range, changes added in quadrature as "
        "logarithms"
    )


def _about_the_loss(comparison: Comparison) -> Iterator[str]:
    loss = comparison.wafer.loss
    if loss is None:
        yield "loss: no law is known of an encoder"
        return
    yield f"loss by {loss.law}: {'; '.join(loss.caveats)}"
    yield (
        "these losses know nothing of batch and schedule: wse-sim plan adds what a large batch wastes and what a decay "
        "to zero gains, so that its losses of the same run are others"
    )
    valid = published_laws().cerebras_gpt_validity.tokens_per_parameter
    tpps = [found.tokens_per_parameter for found in comparison.iso_time.values()]
    if any(not math.isclose(tpp, valid, rel_tol=_SAME_TPP) for tpp in tpps):
        yield (
            f"at equal time ways see {significant(min(tpps))} to {significant(max(tpps))} tokens per parameter: away "
            f"from {valid:g} the law is less sure (iso_time in --json has the caveats of each way)"
        )
    for name, way in comparison.ways.items():
        if comparison.iso_loss[name].reason:
            yield f"{way.name}: {comparison.iso_loss[name].reason}"
