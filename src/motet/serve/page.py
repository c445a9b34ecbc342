"""The OpenAPI document as a page: it needs nothing from anywhere else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h2 { margin-top: 2.5rem; font-size: 1.1rem } code, pre { font: 14px/1.4 ui-monospace, monospace }
pre { background: #f4f4f4; padding: .8rem; overflow-x: auto } table { border-collapse: collapse }
td, th { text-align: left; vertical-align: top; padding: .2rem 1rem .2rem 0 } .verb { color: #06c }
@media (prefers-color-scheme: dark) { body { background: #181818; color: #ddd } pre { background: #262626 } }
"""


def html(document: Mapping[str, Any]) -> str:
    """One section for each operation."""
    info = document["info"]
    sections = "".join(
        _operation(path, verb, operation)
        for path, operations in document["paths"].items()
        for verb, operation in operations.items()
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(info["title"])}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style>'
        f"<h1>{escape(info['title'])}</h1><p>{escape(info['description'])} Version {escape(info['version'])}."
        f' For programs: <a href="/openapi.json">/openapi.json</a></p>{sections}</html>'
    )


def _operation(path: str, verb: str, operation: Mapping[str, Any]) -> str:
    media = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    replies = operation["responses"]["200"]["content"]
    refused = ", ".join(status for status in operation["responses"] if status != "200")
    parts = [
        f'<h2 id="{escape(verb + path)}"><code><span class="verb">{verb.upper()}</span> {escape(path)}</code></h2>',
        f"<p>{escape(operation['summary'])}</p>",
        _fields("Send", media.get("schema", {})),
        _curl(path, media["example"]) if "example" in media else "",
        *(_fields(f"Get ({escape(kind)})", reply.get("schema", {})) for kind, reply in replies.items()),
        f"<p>May be refused with {refused}.</p>" if refused else "",
    ]
    return "".join(parts)


def _fields(title: str, schema: Mapping[str, Any]) -> str:
    """A table of an object's properties; nothing for what is no object."""
    needed = schema.get("required", ())
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code>{'' if name in needed else ' (optional)'}</td>"
        f"<td><code>{escape(_kind(field))}</code></td><td>{escape(field.get('description', ''))}</td></tr>"
        for name, field in schema.get("properties", {}).items()
    )
    return f"<h3>{title}</h3><table>{rows}</table>" if rows else ""


def _kind(schema: Mapping[str, Any]) -> str:
    """A schema in a few words: string | null, array of {film_id, title, score}."""
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if "anyOf" in schema:
        return " | ".join(_kind(one) for one in schema["anyOf"])
    if "const" in schema:
        return json.dumps(schema["const"])
    kinds = schema.get("type", "any")
    if kinds == "array" and "items" in schema:
        return f"array of {_kind(schema['items'])}"
    if kinds == "object" and "properties" in schema:
        return f"{{{', '.join(schema['properties'])}}}"
    return str(kinds) if isinstance(kinds, str) else " | ".join(kinds)


def _curl(path: str, example: Any) -> str:
    body = json.dumps(example, ensure_ascii=False).replace("'", "'\\''")
    return f"<pre>curl localhost:8000{escape(path)} -d '{escape(body)}'</pre>"
