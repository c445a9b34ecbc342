"""The console's files over HTTP. They hold nothing of the graph, so who has no key yet may read them."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

AT = "/console/"
KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", "": "text/plain"}
IMPORTS = re.compile(rb'<script type="importmap">(.*?)</script>', re.DOTALL)


def routes() -> list[Route]:
    async def page(request: Request) -> Response:
        name = str(request.path_params["name"]) or "index.html"
        if (found := files().get(name)) is None:
            raise HTTPException(404, "there is no such page")
        kind, content = found
        return Response(content, headers=headers(), media_type=kind)

    async def home(request: Request) -> Response:
        return RedirectResponse(AT, 307)

    return [Route("/", home), Route("/console", home), Route("/console/{name:text}", page)]


@cache
def files() -> dict[str, tuple[str, bytes]]:
    """Media type and content of every file, by its path below the console."""
    return dict(_below(resources.files("motet.console") / "static"))


@cache
def headers() -> dict[str, str]:
    """What a browser is told about each of them: it runs these files alone, and turns no text into a page.

    The one script that stands in the page, where modules are looked up, is named by its hash.
    """
    found = IMPORTS.search(files()["index.html"][1])
    assert found is not None
    imports = base64.b64encode(hashlib.sha256(found[1]).digest()).decode()
    policy = {
        "default-src": "'none'",
        "script-src": f"'self' 'sha256-{imports}'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }


def _below(folder: Traversable, path: str = "") -> list[tuple[str, tuple[str, bytes]]]:
    found: list[tuple[str, tuple[str, bytes]]] = []
    for each in folder.iterdir():
        name = f"{path}{each.name}"
        if each.is_dir():
            found += _below(each, f"{name}/")
        else:
            suffix = each.name[each.name.rindex(".") :] if "." in each.name else ""
            found.append((name, (KINDS[suffix], each.read_bytes())))
    return found
