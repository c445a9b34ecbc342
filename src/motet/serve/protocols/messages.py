"""A chat request as OpenAI's clients send it, read into what can be done with it; everything else is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from motet.llm import Prompt, Schema
from motet.serve.problems import Refused

MOST_TOKENS = 4096
USUAL_TOKENS = 512
STOPS = 4
DEEPEST = 16  # schemas within schemas

# What changes nothing when it has this value; with another one it would have to change something.
NEUTRAL: Mapping[str, Any] = {
    "n": 1,
    "temperature": 0,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "logprobs": False,
    "store": False,
    "logit_bias": {},
    "tools": [],
}
# What changes nothing at all, since the likeliest token is always taken: it is among any top_p, whatever the seed.
WITHOUT_EFFECT = ("top_p", "seed")
READ = (
    *("model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "stop"),
    *("response_format", "user", "metadata", "ask"),
)
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")


class Wrong(Refused):
    """A parameter that cannot be honoured. param: its name. code: what OpenAI's clients know it by."""

    def __init__(self, param: str, detail: str, *, status: int = 400, code: str | None = None) -> None:
        super().__init__(status, detail)
        self.param, self.code = param, code


@dataclass(frozen=True)
class Chat:
    """turns: who said what, no two of one role in a row. told: whether a stream ends with its usage. limit: the most
    tokens of a reply, where the request says so."""

    model: str
    turns: tuple[tuple[str, str], ...]
    stream: bool
    told: bool
    limit: int | None
    stop: tuple[str, ...]
    schema: Schema | None
    user: str
    metadata: Mapping[str, Any]
    ask: Mapping[str, Any]

    @property
    def tokens(self) -> int:
        """What a language model may write."""
        return USUAL_TOKENS if self.limit is None else self.limit

    @property
    def question(self) -> str:
        """The last thing that the user said."""
        return self.turns[-1][1]

    @property
    def prompt(self) -> Prompt:
        system = "\n\n".join(text for role, text in self.turns if role == "system")
        said = [text for role, text in self.turns if role != "system"]
        return Prompt(said[-1], system, earlier=tuple(said[:-1]))


def chat_of(body: Mapping[str, Any]) -> Chat:
    """Refused: what is missing, wrong, or would have to be honoured and cannot be."""
    given = {name: value for name, value in body.items() if value is not None}
    _supported(given)
    options = one(given, "stream_options", dict, {})
    return Chat(
        model=one(given, "model", str),
        turns=_turns(one(given, "messages", list)),
        stream=one(given, "stream", bool, False),
        told=bool(options.get("include_usage")),
        limit=_limit(given),
        stop=_stop(given.get("stop", [])),
        schema=_schema(one(given, "response_format", dict, {})),
        user=one(given, "user", str, ""),
        metadata=one(given, "metadata", dict, {}),
        ask=one(given, "ask", dict, {}),
    )


CALLED = {str: "a text", bool: "true or false", int: "a whole number", dict: "an object", list: "a list"}
MISSING: Any = object()


def one(given: Mapping[str, Any], name: str, kind: type, usual: Any = MISSING) -> Any:
    """A parameter of this kind. Refused: it is of another, or is not there and has no usual value."""
    value = given.get(name, usual)
    if value is MISSING:
        raise Wrong(name, f"{name} is missing: it is {CALLED[kind]}", code="missing_required_parameter")
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise Wrong(name, f"{name} is {CALLED[kind]}, not {shown(value)}", code="invalid_type")
    return value


def shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _supported(given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if name in NEUTRAL and value != NEUTRAL[name]:
            raise Wrong(
                name,
                f"{name}={shown(value)} is not supported: leave it out, or say {NEUTRAL[name]!r}",
                code="unsupported_value",
            )
        if name not in (*NEUTRAL, *WITHOUT_EFFECT, *READ):
            raise Wrong(name, f"{shown(name)} is not supported: leave it out", code="unsupported_parameter")


def _turns(messages: Sequence[Any]) -> tuple[tuple[str, str], ...]:
    turns: list[tuple[str, str]] = []
    for i, message in enumerate(messages):
        role, text = _message(message, f"messages[{i}]")
        if turns and turns[-1][0] == role:
            turns[-1] = role, f"{turns[-1][1]}\n\n{text}"
        else:
            turns.append((role, text))
    said = [role for role, _ in turns if role != "system"]
    if not said or said[0] != "user" or said[-1] != "user" or turns[-1][0] == "system":
        raise Wrong("messages", "messages begin and end with what the user says, after any system message")
    if any(role == "system" for role, _ in turns[1:]):
        raise Wrong("messages", "a system message comes before all others")
    return tuple(turns)


def _message(message: Any, where: str) -> tuple[str, str]:
    if not isinstance(message, dict):
        raise Wrong("messages", f'{where} is {shown(message)}: write {{"role": "user", "content": "..."}}')
    said = cast("dict[str, Any]", message)
    role, content = said.get("role"), said.get("content")
    if not isinstance(role, str) or role not in ROLES:
        raise Wrong("messages", f"{where}.role is {shown(role)}; there are: {', '.join(ROLES)}")
    if isinstance(content, list):
        content = "".join(_part(part, where) for part in cast("list[Any]", content))
    if not isinstance(content, str):
        raise Wrong("messages", f"{where}.content is a text, not {shown(content)}")
    return ROLES[role], content


def _part(part: Any, where: str) -> str:
    text = cast("dict[str, Any]", part).get("text") if isinstance(part, dict) else None
    if not isinstance(text, str):
        raise Wrong("messages", f"{where}.content holds {shown(part)}: only texts are read")
    return text


def _limit(given: Mapping[str, Any]) -> int | None:
    """The most tokens of a reply, by the newer name where both are given."""
    name = next((name for name in ("max_completion_tokens", "max_tokens") if name in given), None)
    if name is None:
        return None
    limit = one(given, name, int)
    if not 1 <= limit <= MOST_TOKENS:
        raise Wrong(name, f"{name} is a whole number from 1 to {MOST_TOKENS}, not {limit}")
    return limit


def _stop(given: Any) -> tuple[str, ...]:
    stops = cast("list[Any]", [given] if isinstance(given, str) else given)
    if not isinstance(given, (str, list)) or not all(isinstance(stop, str) and stop for stop in stops):
        raise Wrong("stop", f"stop is a text or a list of texts, not {shown(given)}", code="invalid_type")
    if len(stops) > STOPS:
        raise Wrong("stop", f"stop holds {len(stops)} texts, and {STOPS} at most are read")
    return tuple(stops)


def _schema(given: Mapping[str, Any]) -> Schema | None:
    kind = given.get("type", "text")
    if kind == "text":
        return None
    if kind == "json_object":
        return {"type": "object"}
    if kind != "json_schema":
        wanted = "text, json_object, json_schema"
        raise Wrong("response_format", f"response_format.type is {shown(kind)}; there are: {wanted}")
    described: Any = given.get("json_schema")
    schema = cast("dict[str, Any]", described).get("schema") if isinstance(described, dict) else None
    problem = _no_schema(schema, "response_format.json_schema.schema", schema)
    if problem:
        raise Wrong("response_format", problem)
    return cast(Schema, schema)


def _no_schema(given: Any, where: str, root: Any, deep: int = DEEPEST) -> str:
    """Why it is no JSON Schema that replies can be written to; empty where it is one. root: what it refers into."""
    if not isinstance(given, dict) or not deep:
        return f"{where} is {shown(given)}: no JSON Schema" if deep else f"{where} is nested too deeply"
    schema = cast("dict[str, Any]", given)
    wrong = [name for name, wanted in SHAPES.items() if name in schema and not isinstance(schema[name], wanted)]
    if wrong:
        return f"{where}.{wrong[0]} is {shown(schema[wrong[0]])}: no JSON Schema"
    empty = [name for name in ("type", "enum", *CHOICES) if schema.get(name) in ("", [])]
    if empty:
        return f"{where}.{empty[0]} is empty, so that nothing fits it"
    kinds = schema.get("type", [])
    unknown = [kind for kind in ([kinds] if isinstance(kinds, str) else kinds) if kind not in TYPES]
    if unknown:
        return f"{where}.type is {shown(unknown[0])}; there are: {', '.join(TYPES)}"
    if not all(isinstance(name, str) for name in schema.get("required", [])):
        return f"{where}.required is {shown(schema['required'])}: it is a list of names"
    if "$ref" in schema and not _leads(schema["$ref"], root):
        return f"{where}.$ref is {shown(schema['$ref'])}, which leads to no schema: write '#/$defs/NAME'"
    inner = _inner(schema).items()
    return next(filter(None, (_no_schema(each, f"{where}.{name}", root, deep - 1) for name, each in inner)), "")


def _inner(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schemas within one, by where they are."""
    named = {f"{kind}.{name}": each for kind in NAMED for name, each in schema.get(kind, {}).items()}
    listed = {f"{kind}[{i}]": each for kind in CHOICES for i, each in enumerate(schema.get(kind, []))}
    return named | listed | ({"items": schema["items"]} if "items" in schema else {})


def _leads(reference: str, root: Any) -> bool:
    """Whether a reference leads to a schema in the root, and not in a circle."""
    seen: set[str] = set()
    while reference.startswith("#/") and reference not in seen:
        seen.add(reference)
        found = root
        for part in reference.removeprefix("#/").split("/"):
            name = part.replace("~1", "/").replace("~0", "~")
            found = cast("dict[str, Any]", found).get(name) if isinstance(found, dict) else None
        if not isinstance(found, dict):
            return False
        further: Any = cast("dict[str, Any]", found).get("$ref")
        if not isinstance(further, str):
            return True
        reference = further
    return False


NAMED = ("properties", "$defs", "definitions")
CHOICES = ("anyOf", "oneOf", "allOf")
SHAPES = {
    **{"type": (str, list), "required": list, "enum": list, "items": dict, "$ref": str},
    **dict.fromkeys(NAMED, dict),
    **dict.fromkeys(CHOICES, list),
}
