"""Calls that say in words which arguments they lack: a TypeError of Python's own shows no code to write."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from motet.errors import GraphError

P = ParamSpec("P")
R = TypeVar("R")


def worded(shown: Callable[[Any], str]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Makes a method refuse arguments that it lacks or does not take. shown: what is called, as its author wrote it."""

    def of(method: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(method)

        @wraps(method)
        def checked(*args: P.args, **named: P.kwargs) -> R:
            try:
                signature.bind(*args, **named)
            except TypeError as error:
                called, taken = shown(args[0]), list(signature.parameters.values())[1:]
                gathers = any(each.kind is each.VAR_KEYWORD for each in taken)  # no name is odd to it
                odd = next((name for name in named if name not in signature.parameters and not gathers), "")
                why = f"there is no {odd!r}" if odd else str(error)
                takes, needed = ", ".join(map(_declared, taken)), ", ".join(filter(None, map(_written, taken)))
                text = f"{called} cannot be called so: {why}; it takes {takes}"
                raise GraphError(text, help=f"{called}({needed})") from None
            return method(*args, **named)

        return cast("Callable[P, R]", checked)

    return of


def _declared(argument: inspect.Parameter) -> str:
    """An argument and what it may be: target: Flag."""
    return str(argument).partition(" = ")[0].replace("'", "")


def _written(argument: inspect.Parameter) -> str:
    """How an argument is given, empty where it may be left out."""
    if argument.kind is argument.VAR_POSITIONAL:
        return "..."
    if argument.kind is argument.VAR_KEYWORD:
        return "name=..."
    if argument.default is not argument.empty:
        return ""
    return f"{argument.name}=..." if argument.kind is argument.KEYWORD_ONLY else argument.name
