"""What no source of the program may do: run what a file says, call a shell, go to a network. Read from syntax trees."""

import ast
from collections.abc import Iterator

import pytest

from tests.release_check import ROOT

SOURCES = sorted(path for room in ("wse_sim", "models", "training") for path in (ROOT / room).rglob("*.py"))

# Modules that turn bytes into code or objects, or that talk to a network.
FORBIDDEN = {
    *("pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "code", "codeop", "runpy"),
    *("tarfile", "zipfile", "pty", "commands", "imp", "zipimport", "xml"),
    *("socket", "socketserver", "ssl", "select", "asyncio", "http", "urllib", "ftplib", "smtplib", "telnetlib"),
    *("xmlrpc", "webbrowser", "requests", "httpx", "aiohttp", "urllib3", "boto3", "huggingface_hub", "datasets"),
}
ALLOWED = {
    ("wse_sim/report/markup.py", "urllib.parse"): "writes the path of a link, and opens none",
    ("wse_sim/processes/ray_address.py", "urllib.parse"): "reads the address of a cluster",
    ("wse_sim/processes/ray_address.py", "socket"): "asks whether the cluster answers that the user has asked for",
    ("training/distributed.py", "socket"): "asks whether the machine is known that the user has named as the first",
}

# Modules by a name that is not written in the source, each with where the name comes from.
IMPORTS_BY_NAME = {
    "wse_sim/__init__.py": "a table of the public names",
    "wse_sim/cli/app.py": "the table of the commands",
    "wse_sim/cli/documents.py": "the table of the documents",
    "wse_sim/cli/engine_speed.py": "the program's own kernels, loaded afresh",
    "wse_sim/processes/pool.py": "a constant in the source of the caller",
    "training/data/jsonl.py": "a constant",
    "training/data/extras.py": "a constant in the source of the caller",
}

CALLS = {
    *("eval", "exec", "compile", "__import__", "breakpoint", "execfile"),
    *("os.system", "os.popen", "os.startfile", "tempfile.mktemp", "subprocess.getoutput", "subprocess.getstatusoutput"),
    *("torch.load", "torch.jit.load", "torch.hub.load", "torch.package", "torch.save"),
    *("yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load", "yaml.Loader", "yaml.UnsafeLoader"),
    *("yaml.FullLoader", "pandas.read_pickle", "numpy.load", "np.load", "pd.read_pickle"),
}
METHODS = {"extractall", "unpack_archive", "from_pretrained", "hf_hub_download", "snapshot_download", "urlopen"}
NEVER_TRUE = {"shell", "allow_pickle", "trust_remote_code"}
STARTS = ("subprocess.run", "subprocess.Popen", "subprocess.call", "subprocess.check_call", "subprocess.check_output")


def dotted(node: ast.expr) -> str:
    """`a.b.c` of a chain of names; "" of anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        of = dotted(node.value)
        return f"{of}.{node.attr}" if of else ""
    return ""


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def offences(source: str, file: str = "") -> Iterator[str]:
    """What a source does that none may do."""
    for node in ast.walk(ast.parse(source)):
        for name in imported(node):
            is_allowed = any(file == where and name.startswith(module) for where, module in ALLOWED)
            if name.partition(".")[0] in FORBIDDEN and not is_allowed:
                yield f"imports {name}"
            if name in CALLS:
                yield f"imports {name}"
        if isinstance(node, ast.Attribute) and dotted(node) in CALLS:
            yield f"uses {dotted(node)}"
        if isinstance(node, ast.Call):
            yield from _of_call(node, file)


def _of_call(node: ast.Call, file: str) -> Iterator[str]:
    name = dotted(node.func)
    if name in CALLS:
        yield f"calls {name}"
    if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
        yield f"calls {node.func.attr}"
    if name.endswith("import_module") and file not in IMPORTS_BY_NAME:
        yield "imports by name"
    for keyword in node.keywords:
        is_false = isinstance(keyword.value, ast.Constant) and not keyword.value.value
        if keyword.arg in NEVER_TRUE and not is_false:
            yield f"says {keyword.arg}"
    if name in STARTS and not _is_list_of_words(node):
        yield f"{name} of what is no list of words"


def _is_list_of_words(node: ast.Call) -> bool:
    """A list whose first word is this interpreter, or a variable that the function has made of such a list."""
    (first, *_) = node.args
    if isinstance(first, ast.List):
        return dotted(first.elts[0]) == "sys.executable"
    return isinstance(first, ast.Name)


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import urllib.request",
        "from http.client import HTTPConnection",
        "eval(text)",
        "exec(text)",
        "compile(text, '', 'exec')",
        "import os\nos.system('ls')",
        "from os import system",
        "run = os.popen",
        "import torch\ntorch.load(path)",
        "from torch import load",
        "yaml.load(text, Loader=yaml.SafeLoader)",
        "yaml.YAML\nyaml.FullLoader",
        "np.load(path)",
        "f(path, allow_pickle=True)",
        "f(path, allow_pickle=allowed)",
        "subprocess.run(words, shell=True)",
        "subprocess.run('ls -l')",
        "subprocess.run(f'ls {path}')",
        "subprocess.run(['ls', path])",
        "archive.extractall(path)",
        "AutoModel.from_pretrained(name)",
        "importlib.import_module(name)",
    ],
)
def test_the_reader_of_sources_sees_each_of_these(source: str) -> None:
    assert list(offences(source))


def test_no_source_runs_what_a_file_says_or_calls_a_shell_or_a_network() -> None:
    found = {}
    for path in SOURCES:
        file = path.relative_to(ROOT).as_posix()
        if here := list(offences(path.read_text(encoding="utf-8"), file)):
            found[file] = here
    assert found == {}
    assert len(SOURCES) > 400


def test_every_exception_is_still_needed() -> None:
    for file in (*IMPORTS_BY_NAME, *(file for file, _ in ALLOWED)):
        source = (ROOT / file).read_text(encoding="utf-8")
        assert list(offences(source)), file


def test_every_exemption_from_the_linters_security_rules_says_why() -> None:
    for path in SOURCES:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            _, marker, said = line.partition("noqa: S")
            if marker and said[:3].isdigit():
                assert len(said) > len("603  a"), f"{path}:{number}: say why"
