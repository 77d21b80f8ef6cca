"""The README of a folder for `transformers`: what the model is, where it is from, how it is loaded."""

import re
from html import escape
from shlex import quote

from training.data import BYTES, STDLIB, UNKNOWN
from training.exported import EXPORT_FILE, Export

CARD_FILE = "README.md"


def model_card(export: Export) -> str:
    """Markdown, with the head that the Hugging Face hub reads."""
    return "\n".join((*_HEAD, *_about(export), *_how_to_load(export), *_of_tokens(export), *_how_to_go_on(export)))


_HEAD = ("---", "library_name: transformers", "pipeline_tag: text-generation", "tags:", "- wse-sim", "---", "")


def _about(export: Export) -> list[str]:
    shape, unit = export.shape, "nats/byte" if export.tokenizer == BYTES else "nats/token"
    loss = "not measured at this step" if export.val_loss is None else f"{export.val_loss:.4f} {unit}, measured"
    return [
        f"# {_plain(shape.name)}",
        "",
        f"{shape.n_layers} layers of width {shape.d_model}, {export.params:,} parameters; trained by wse-sim "
        f"{export.version}.",
        "",
        "| | |",
        "|---|---|",
        f"| run | {_code(export.run)}, step {export.step:,} |",
        f"| trained on | {export.tokens:,} tokens of {_code(export.data)} |",
        f"| held-out loss | {loss} |",
        f"| density of the hidden matrices | {export.density:.6g}; {export.nonzero_params:,} parameters live |",
        f"| parameterization | {export.parametrization.name} |",
        f"| numbers | {export.dtype}, {export.n_bytes:,} bytes |",
        f"| sha256 of the weights | `{export.sha256}` |",
    ]


def _how_to_load(export: Export) -> list[str]:
    if export.is_sparse:
        return [
            "",
            "## Load it",
            "",
            "`model.sparse.safetensors` holds of each masked matrix the live numbers, and a bit for each weight; stock",
            "`transformers` does not load that. Make it dense first,",
            "",
            "    wse-sim export THIS_FOLDER --out DENSE",
            "",
            "or read single tensors in Python, `models.hugging_face.read_tensors(THIS_FOLDER)`.",
        ]
    has_tokenizer = export.has_tokenizer
    untied = " The output layer is untied from the embedding: the two take other factors." if export.is_untied else ""
    return [
        "",
        "## Load it",
        "",
        "```python",
        "from transformers import AutoModelForCausalLM" + (", AutoTokenizer" if has_tokenizer else ""),
        "",
        'model = AutoModelForCausalLM.from_pretrained("THIS_FOLDER")',
        *(['tokenizer = AutoTokenizer.from_pretrained("THIS_FOLDER")'] if has_tokenizer else ()),
        "```",
        "",
        f"It is a stock `{export.architecture}`: the multipliers of the parameterization are folded into its "
        f"weights.{untied}",
    ]


def _of_tokens(export: Export) -> list[str]:
    if export.tokenizer == BYTES:
        lines = [
            "The id of a token is the value of a byte of UTF-8 text, 0 to 255. No token begins a text; where the data",
            "had documents, a zero byte ends each.",
        ]
    elif export.has_tokenizer:
        lines = [
            f"The ids are those of the run's own tokenizer, {_code(export.tokenizer)}: `tokenizer.json` here, of the",
            f"sha256 `{export.tokenizer_sha256}`. Text was encoded with",
            "`add_special_tokens=False`; behind each document stands the token that ends one (`<|endoftext|>`, `</s>`,",
            "...), where the vocabulary has it.",
        ]
    elif export.tokenizer == UNKNOWN:
        lines = [
            "What the ids mean is not known: the data were tokens already, and did not say of which tokenizer. There",
            "is none in this folder; text must be encoded with the one that made the data.",
        ]
    else:
        lines = [
            f"The data say that the ids are those of the tokenizer {_code(export.tokenizer)}, whose `tokenizer.json`",
            "was not with the run. There is none in this folder; text must be encoded with that one.",
        ]
    return ["", "## Tokens", "", *lines]


def _how_to_go_on(export: Export) -> list[str]:
    data = "" if export.data == STDLIB else f" --data {quote(_in_a_line(export.data))}"
    line = f"wse-sim train --init-from THIS_FOLDER --mode dense --batch-size {export.batch_size}{data}"
    tokenizer = ", and where they are text, with `--tokenizer THIS_FOLDER`" if export.tokenizer != BYTES else ""
    return [
        "",
        "## Go on training",
        "",
        _code(line),
        "",
        f"begins with these weights, in the parameterization that `{EXPORT_FILE}` names, on the data of the run and",
        f"with as many tokens per step; on other data of the same tokens with their `--data`{tokenizer}.",
        "",
    ]


def _plain(name: str) -> str:
    """A name in Markdown, of which nothing is read as markup."""
    return re.sub(r"([\\`*_{}\[\]()#+!|~])", r"\\\1", escape(_in_a_line(name), quote=False))


def _code(name: str) -> str:
    """A name as code in Markdown, also in a cell of a table."""
    longest = max(map(len, re.findall("`+", name)), default=0)
    fence, space = "`" * (longest + 1), " " * bool(longest)
    return f"{fence}{space}{_in_a_line(name)}{space}{fence}".replace("|", "\\|")


def _in_a_line(name: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())
