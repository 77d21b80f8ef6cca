"""The sections of a run's page; what a summary lacks is left out."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from wse_sim import __version__
from wse_sim.report.fields import field_tables
from wse_sim.report.figures import loss_by_step, loss_by_time, loss_by_tokens, timeline
from wse_sim.report.headline import cluster, headline
from wse_sim.report.markup import (
    bullets,
    command_line,
    details,
    facts,
    figure,
    paragraph,
    scrolling,
    section,
    tag,
    text,
    unbroken,
)
from wse_sim.report.quantities import count, data_size, duration, percent, significant
from wse_sim.report.trace_reading import lanes

Summary = Mapping[str, Any]

_LOSS_CAPTION = (
    "Measured loss against optimizer steps: of each row, and the running mean over a twentieth of them. "
    "Circles: validation text."
)
_TOKENS_CAPTION = (
    "Measured loss, running mean, against the tokens that the run here has seen, both logarithmic. Circles: validation "
    "text."
)
_KINDS = {
    "measured": "ran here",
    "simulated": "by the discrete-event model",
    "projected": "by a named law",
}


def _pale(series: int) -> str:
    return f"color-mix(in srgb, var(--series-{series}) 50%, var(--page))"


_PART_COLOURS = {
    # of a wafer's step: work, and waiting in the paler colour of what is waited for
    "linear": "var(--series-1)",
    "imbalance": "var(--faint)",
    "rounding": _pale(1),
    "broadcast": _pale(6),
    "reduction": "var(--series-5)",
    "attention": "var(--series-3)",
    "logits": "var(--series-4)",
    "latency": "var(--series-6)",
    "jitter": _pale(4),
    "weight_wait": "var(--series-2)",
    "cross_iteration": _pale(2),
    "activation_wait": _pale(3),
    "gradient_wait": _pale(5),
    "input_wait": "var(--ink)",
    # of a GPU's
    "memory": "var(--series-2)",
    "communication": "var(--series-5)",
    "optimizer": "var(--series-6)",
    "pipeline": "var(--series-4)",
    "recompute": "var(--faint)",
    # of one on the machine at hand
    "blocks": "var(--series-1)",
    "ends": "var(--series-4)",
    "streaming": "var(--series-2)",
}
_OTHER_COLOUR = "var(--ink)"
_DATE = r"\d{4}-\d{2}(-\d{2})?"


def opening(heading: str, lead: str, *, version: str = __version__) -> str:
    """The top of a page: whose it is, what it is about, and what the three words mean."""
    eyebrow = paragraph(f"wse-sim {version}".strip(), "eyebrow")
    led = paragraph(lead, "lead") if lead else ""
    words = "".join(f"<li>{tag(kind)} {text(meaning)}</li>\n" for kind, meaning in _KINDS.items())
    return f'<header>\n{eyebrow}<h1>{text(heading)}</h1>\n{led}<ul class="legend">\n{words}</ul>\n</header>\n'


def what_was_asked(summary: Summary) -> str:
    """The full-size run in a sentence."""
    target = summary.get("target") or summary.get("simulated", {})
    parts = []
    if "params" in target:
        parts.append(f"{count(target['params'])} parameters")
    if "n_layers" in target:
        parts.append(f"{target['n_layers']} layers, {target['d_model']} wide")
    if "tokens" in target:
        parts.append(f"{count(target['tokens'])} tokens")
    if "n_steps" in target:
        parts.append(f"{int(target['n_steps']):,} steps of {target['batch_size']} × {target['seq_len']}")
    return " · ".join(parts)


def headline_section(summary: Summary) -> str:
    """The ten-second table, and what to know of the run here."""
    bodies = ""
    for group, lines in groupby(headline(summary), key=lambda line: line.group):
        rows = f'<tr class="group"><th scope="rowgroup" colspan="4">{text(group)}</th></tr>\n'
        for line in lines:
            rows += (
                f'<tr><th scope="row">{text(line.name)}</th><td class="value">{text(line.value)}</td>'
                f'<td class="note">{unbroken(line.note, _DATE)}</td><td class="kind">{tag(line.kind)}</td></tr>\n'
            )
        bodies += f"<tbody>\n{rows}</tbody>\n"
    lines_table = scrolling(f'<table class="headline">\n{bodies}</table>\n', "the run in ten seconds")
    warnings = summary.get("measured", {}).get("warnings")
    return section("In ten seconds", lines_table, bullets(warnings) if warnings else "")


def loss_section(summary: Summary, rows: Sequence[Mapping[str, Any]]) -> str:
    """The measured loss against steps, tokens and simulated time, and what the projection leaves open."""
    if not rows:
        return ""
    parts = [figure(loss_by_step(rows), _LOSS_CAPTION), figure(loss_by_tokens(rows), _TOKENS_CAPTION)]
    if (rows[-1].get("wafer_s") or 0) > 0:
        caption = (
            "The running mean against simulated time, logarithmic: the curves lie apart by the ratio of the clusters' "
            "speeds, and on one another where that is near 1. Circles: validation text."
        )
        parts.append(figure(loss_by_time(rows), caption))
    projected = summary.get("projected", {})
    if projected.get("caveats"):
        parts.append(f"<h3>About the projected loss {tag('projected')}</h3>\n")
        parts.append(bullets([f"Law: {projected['law']}", *projected["caveats"]]))
    return section("Loss", *parts)


def step_section(summary: Summary, trace: Mapping[str, Any]) -> str:
    """Where the step's time goes, and when each resource works."""
    parts = []
    simulated = summary.get("simulated", {})
    if "breakdown" in simulated:
        lead = f"{duration(simulated['step_time_s'])} on {cluster(simulated)}; bottleneck: {simulated['bottleneck']}."
        parts += [paragraph(lead), breakdown_bar(simulated["breakdown"])]
    shown = lanes(trace)
    if shown:
        about = trace.get("otherData", {})
        is_steady = about.get("steps", "steady") == "steady"
        step = "the steady step" if is_steady else f"step {about['last_step']} from a cold start"
        caption = (
            f"How busy each resource is over {step}, and on average at the right; the first system stands for all. "
            "trace.json has its slices and opens in Perfetto."
        )
        parts.append(figure(timeline(shown), caption))
    return section("One step", *parts) if parts else ""


def choice_section(summary: Summary) -> str:
    """What ran on this machine, why, and what it does not show."""
    choice = summary.get("choice")
    if not choice:
        return ""
    machine = choice.get("machine", {})
    parts = [paragraph(f"Mode: {choice['mode']}."), bullets(choice.get("reasons", []))]
    if choice.get("not_covered"):
        parts += ["<h3>What this run does not show</h3>\n", bullets(choice["not_covered"])]
    pairs = [
        ("processor", str(machine.get("cpu") or "")),
        ("cores", str(machine.get("cores", ""))),
        ("memory", data_size(machine["memory_bytes"]) if machine.get("memory_bytes") else ""),
        ("GPU", str(machine.get("gpu") or "none")),
        ("matmul rate, measured", _rate(machine.get("matmul_flops_per_s"))),
        ("time here, foreseen", _time(choice.get("predicted_s"))),
        ("time here, measured", _time(summary.get("measured", {}).get("host_s"))),
        ("full-size run here, foreseen", _time(choice.get("full_run_here_s"))),
    ]
    return section("What ran here, and why", *parts, "<h3>This machine</h3>\n", facts(pairs))


def origin_section(summary: Summary) -> str:
    """Hyper-parameters, corpus, command and version: what it takes to do it again."""
    target, corpus = summary.get("target", {}), summary.get("measured", {}).get("corpus") or {}
    names = ["model", "parametrization", "schedule", "density", "sparsity_algorithm"]
    names += ["batch_size", "seq_len", "tokens_per_parameter"]
    pairs = [(name.replace("_", " "), _plain(target[name])) for name in names if name in target]
    pairs += [(name.replace("_", " "), _plain(v)) for name, v in (target.get("hyper_parameters") or {}).items()]
    parts = [f"<h3>Full-size run</h3>\n{facts(pairs)}" if pairs else ""]
    if corpus:
        size = f"{corpus.get('n_files', 0):,} files, {data_size(corpus.get('n_bytes', 0))}"
        fingerprint = [
            ("corpus", str(corpus.get("name", ""))),
            ("size", size),
            ("SHA-256", str(corpus.get("sha256", ""))),
        ]
        parts.append(f"<h3>Training text</h3>\n{facts(fingerprint)}")
    parts.append(f"<h3>Command</h3>\n{command_line(_command(summary.get('command', '')))}")
    parts.append(paragraph(f"wse-sim {summary.get('version', '')}", "eyebrow"))
    return section("To do it again", *parts)


def breakdown_bar(breakdown: Mapping[str, float], of: str = "breakdown") -> str:
    """Parts of a step as one bar and its legend, which is its table, and what each of them is; those that are next to
    nothing are left out.

    Parameters
    ----------
    of :
        The table of `fields` that says what the parts are.
    """
    shown = {name: fraction for name, fraction in breakdown.items() if fraction >= 0.0005}
    words = ", ".join(f"{name.replace('_', ' ')} {percent(fraction)}" for name, fraction in shown.items())
    bars, items = "", ""
    for name, fraction in shown.items():
        colour = f"background:{_PART_COLOURS.get(name, _OTHER_COLOUR)}"
        bars += f'<span style="width:{100 * fraction:.2f}%;{colour}"></span>'
        label = text(name.replace("_", " "))
        items += f'<li><i style="{colour}"></i>{label}<b>{percent(fraction)}</b></li>\n'
    bar = f'<div class="bar" role="img" aria-label="{text("parts of the step: " + words)}">{bars}</div>\n'
    meanings = field_tables()[of]
    known = [f"{name.replace('_', ' ')}: {meanings[name].definition}" for name in shown if name in meanings]
    return f'{bar}<ul class="parts">\n{items}</ul>\n{details("What these parts are", bullets(known))}'


def _rate(flops_per_s: float | None) -> str:
    return f"{significant(flops_per_s / 1e9)} GFLOP/s" if flops_per_s else ""


def _time(seconds: float | None) -> str:
    return duration(seconds) if seconds else ""


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        parts = (f"{str(name).replace('_', ' ')} {_plain(of)}" for name, of in value.items())
        return ("; " if any(isinstance(of, Mapping) for of in value.values()) else ", ").join(parts)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _command(command: object) -> str:
    return " ".join(map(str, command)) if isinstance(command, list) else str(command)
