"""`wse-sim prepare`: make tokens of text once, as files that every tool reads."""

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wse_sim.cli.data_options import reading_display, tokenizer_options
from wse_sim.cli.options import json_option
from wse_sim.cli.output import print_json, print_tables, say

if TYPE_CHECKING:
    from training.data.prepare import Prepared


@click.command("prepare")
@click.argument("data", metavar="DATA")
@tokenizer_options
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Gets train.bin and val.bin."
)
@json_option
def command(*, data: str, tokenizer: str, text_field: str, out: Path, as_json: bool) -> None:
    """Make tokens of text: files as nanoGPT reads them, each with a JSON side-car that says what is in it.

    DATA is text, .jsonl, .jsonl.zst, .jsonl.gz, .arrow or .parquet: a file, a folder, or names with '*'. A tenth of the
    documents is held out, by their content. `wse-sim train --data DIR` trains on what comes out.

    \b
        wse-sim prepare corpus.jsonl.zst --tokenizer bpe:8192 --out tokens
        wse-sim prepare stdlib --tokenizer gpt2/tokenizer.json --out tokens
    """
    import msgspec

    from training.data import document_files, write_tokens
    from wse_sim.files import make_folder

    files = document_files(data, text_field)
    make_folder(out)
    started_s = time.perf_counter()
    try:
        with reading_display() as tell:
            prepared = write_tokens(files, tokenizer, out, tell)
    finally:
        with suppress(OSError):  # not empty: it was written
            out.rmdir()
    host_s = time.perf_counter() - started_s
    content = {
        "kind": "measured",
        "source": data,
        "folder": str(out),
        **msgspec.to_builtins(prepared),
        "host_s": host_s,
        "bytes_per_s": files.n_bytes / host_s,
    }
    if as_json:
        print_json(content)
        return
    _print(prepared, content)
    say(f"written: {out}; to train on it:  wse-sim train --data {out}")


def _print(prepared: "Prepared", content: dict[str, Any]) -> None:
    from wse_sim.report.quantities import count, data_size, duration
    from wse_sim.report.tables import plain_table

    rows = [
        (
            name,
            f"{part.n_documents or 0:,}",
            count(part.n_tokens or 0),
            "–" if part.n_bytes is None else data_size(part.n_bytes),
            "–" if part.n_bytes is None else f"{part.n_bytes / (part.n_tokens or 1):.2f}",
        )
        for name, part in (("train.bin", prepared.train), ("val.bin", prepared.val))
    ]
    said = prepared.train
    vocabulary = "" if said.vocab_size is None else f", {said.vocab_size:,} entries"
    title = f"{said.tokenizer_in_words}{vocabulary}, {said.dtype}"
    print_tables(plain_table(("file", "texts", "tokens", "text", "bytes/token"), rows, title=title))
    say(f"{duration(content['host_s'])}, {data_size(content['bytes_per_s'])} of the files a second")
