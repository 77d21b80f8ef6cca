"""What makes a function of a question: its parameters, and errors that name them as Python does."""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, ForwardRef, TypeVar, cast

from wse_sim.api.configured import Configured, Resumed
from wse_sim.api.values import as_text
from wse_sim.defaults import Defaults
from wse_sim.errors import SpecError, choose

Asked = TypeVar("Asked", bound=Callable[..., Any])
# A command to call is one from Python too.
_OPTION = re.compile(r"wse-sim [a-z-]+ --[a-z-]+|--(?P<option>[a-z-]+[a-z])\b")


def asks(parameters: type, defaults: Defaults) -> Callable[[Asked], Asked]:
    """Makes a function with `**options` take all `parameters` by keyword, with defaults, and refuse other names.

    Its signature spells them out, for help and completion in a notebook.
    """
    spelled = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=defaults.get(name), annotation=_written(annotation)
        )
        for name, annotation in parameters.__annotations__.items()
    ]

    def decorated(function: Asked) -> Asked:
        signature = inspect.signature(function)
        *own, options = signature.parameters.values()
        assert options.kind is inspect.Parameter.VAR_KEYWORD
        taken = [each.name for each in (*own, *spelled) if each.kind is not inspect.Parameter.VAR_POSITIONAL]

        @errors_in_keywords(by_option(taken))
        @wraps(function)
        def asked(*given: Any, **options: Any) -> Any:
            for name in options:
                choose(name, taken, "parameter")
            if options.get("config") is not None:
                files = cast(str, as_text(options["config"])).split(",")
                options["config"] = Configured(tuple(files), frozenset(options) - {"config"})
            if options.get("resume") is not None:
                options["resume"] = Resumed(Path(options["resume"]), frozenset(options))
            return function(*given, **({each.name: each.default for each in spelled} | options))

        asked.__signature__ = signature.replace(parameters=[*own, *spelled])  # type: ignore[attr-defined]
        return cast(Asked, asked)

    return decorated


def by_option(keywords: Iterable[str]) -> dict[str, str]:
    """Keywords by the option of the same name, without its dashes: `max_cost` by `max-cost`."""
    return {keyword.replace("_", "-"): keyword for keyword in keywords}


def in_keywords(text: str, keywords: Mapping[str, str]) -> str:
    """A text for the command line as one for Python: `--max-cost` is `max_cost`; options without a keyword stay."""
    return _OPTION.sub(lambda match: keywords.get(match["option"], match[0]), text)


@contextmanager
def errors_in_keywords(keywords: Mapping[str, str]) -> Iterator[None]:
    """Errors of what is done here name keywords where they would name options of the command."""
    try:
        yield
    except SpecError as error:
        error.args = (in_keywords(str(error), keywords),)
        raise


def _written(annotation: object) -> object:
    return annotation.__forward_arg__ if isinstance(annotation, ForwardRef) else annotation
