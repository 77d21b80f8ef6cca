"""Every JSON document that wse-sim prints or writes, and every file that it reads: names, types, schemas.

A document takes one line of `DOCUMENTS`.
"""

import importlib
from typing import Any, NamedTuple

from wse_sim.errors import choose
from wse_sim.report.json_schema import Schema, json_schema

VERSION = 1  # rises with every release that changes a document: tests/cli/test_schema.py says how


class Document(NamedTuple):
    """A document, and where the type is that it is made from.

    Parameters
    ----------
    title :
        The command that prints it with --json, or the file.
    described :
        `module:name` of a type (a struct, a dataclass, a typed dictionary) or of a function that makes one: modules
        are heavy, and each is imported for its own documents alone.
    is_input :
        A user writes it.
    """

    title: str
    described: str
    is_input: bool = False


DOCUMENTS = {
    "simulate": Document("wse-sim simulate", "wse_sim.report.metrics:SimulationResult"),
    "simulate-file": Document("simulation.json", "wse_sim.report.simulation_files:WrittenSimulation"),
    "train": Document("wse-sim train; summary.json of a run", "training.summary:Summary"),
    "train-several": Document("wse-sim train, several runs; comparison.json", "wse_sim.cli.printed:train_several"),
    "train-verify-resume": Document("wse-sim train --verify-resume", "wse_sim.cli.printed:train_verify_resume"),
    "prepare": Document("wse-sim prepare", "wse_sim.cli.printed:prepare"),
    "run-row": Document("a line of run.jsonl", "training.run_record:Row"),
    "gpu": Document("a GPU cluster, in other documents", "wse_sim.gpu.roofline:GpuResult"),
    "compare": Document("wse-sim compare", "wse_sim.report.comparison:Comparison"),
    "compare-file": Document("compare.json", "wse_sim.report.comparison:WrittenComparison"),
    "compare-run": Document("wse-sim compare RUN", "wse_sim.cli.printed:compare_run"),
    "sweep": Document("wse-sim sweep", "wse_sim.cli.printed:sweep"),
    "plan": Document("wse-sim plan", "wse_sim.planning.result:Plan"),
    "plan-file": Document("plan.json", "wse_sim.planning.result:WrittenPlan"),
    "project": Document("wse-sim project", "wse_sim.cli.printed:project"),
    "calibrate": Document("wse-sim calibrate", "wse_sim.cli.printed:calibrate"),
    "validate": Document("wse-sim validate", "wse_sim.cli.printed:validate"),
    "schedules": Document("wse-sim schedules NAME", "wse_sim.cli.printed_studies:schedules"),
    "schedules-list": Document("wse-sim schedules", "wse_sim.cli.printed_studies:schedules_list"),
    "transfer": Document("wse-sim transfer; transfer.json", "wse_sim.cli.printed_studies:transfer"),
    "coord-check": Document("wse-sim coord-check; coord-check.json", "wse_sim.cli.printed_studies:coord_check"),
    "export": Document("wse-sim export; wse-sim.json of the folder", "training.exported:Export"),
    "reproduce": Document("wse-sim reproduce NAME", "wse_sim.cli.printed_studies:reproduce"),
    "reproduce-list": Document("wse-sim reproduce", "wse_sim.cli.printed_studies:reproduce_list"),
    "explain": Document("wse-sim explain [FIELD]", "wse_sim.cli.printed:explain"),
    "explain-constants": Document("wse-sim explain constants, h100, ...", "wse_sim.cli.printed:explain_constants"),
    "explain-parametrization": Document("wse-sim explain parametrization", "models.explanation:Explanation"),
    "explain-config": Document("wse-sim explain config", "wse_sim.cli.explain_config:ExplainedConfiguration"),
    "list": Document("wse-sim list", "wse_sim.cli.list:Listed"),
    "bench-cli": Document("wse-sim bench cli", "wse_sim.cli.printed_studies:bench_cli"),
    "bench-engine": Document("wse-sim bench engine", "wse_sim.cli.printed_studies:bench_engine"),
    "bench-plan": Document("wse-sim bench plan", "wse_sim.cli.printed_studies:bench_plan"),
    "bench-trainer": Document("wse-sim bench trainer", "wse_sim.cli.printed_studies:bench_trainer"),
    "bench-streaming": Document("wse-sim bench streaming", "wse_sim.cli.printed_studies:bench_streaming"),
    "model-file": Document("--model FILE.toml; --config FILE.toml", "wse_sim.cli.input_files:model", is_input=True),
    "economics-file": Document("--economics FILE", "wse_sim.cli.input_files:economics", is_input=True),
    "operations-file": Document("--operations FILE", "wse_sim.cli.input_files:operations", is_input=True),
    "config-file": Document("config.toml of a run; --config FILE", "training.config:TrainConfig", is_input=True),
    "side-car": Document("FILE.json beside a FILE.bin of tokens", "training.data.side_car:SideCar", is_input=True),
    "system-file": Document("--system FILE.toml", "wse_sim.cli.input_files:system", is_input=True),
    "gpu-file": Document("--gpu FILE.toml", "wse_sim.gpu.spec:GpuSpec", is_input=True),
    "gpu-software-file": Document("--gpu-software FILE.toml", "wse_sim.gpu.spec:Software", is_input=True),
}


def schema_of(name: str) -> Schema:
    """The JSON Schema of the document called `name`.

    Raises
    ------
    SpecError
        When there is none; the message names the nearest one.
    """
    title, described, is_input = DOCUMENTS[choose(name, DOCUMENTS, "document")]
    module, _, attribute = described.partition(":")
    found: Any = getattr(importlib.import_module(module), attribute)
    schema = json_schema(found if isinstance(found, type) else found(), is_input=is_input)
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:wse-sim:schema:{name}:{VERSION}",
        "title": title,
        "version": VERSION,
    }
    return head | {key: value for key, value in schema.items() if key != "title"}
