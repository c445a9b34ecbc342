"""The Open Inference Protocol, version 2, over HTTP: the graph, and each of its models, called with tensors.

Tensors come as JSON or behind it as bytes, as the binary tensor data extension has it. `callees` says what is listed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import version
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from motet.errors import listed
from motet.serve import http, problems
from motet.serve.operations import JSON, Paths, Schema, get, post, refusals
from motet.serve.problems import Refused
from motet.serve.protocols import tensors
from motet.serve.protocols.callees import Callee, Callees
from motet.serve.schemas import TEXT, object_of
from motet.serve.server import Server

Endpoint = Callable[[Request], Awaitable[Response]]
BINARY = "application/octet-stream"
MODEL = "/v2/models/{name:text}"
VERSION = f"{MODEL}/versions/{{version}}"


def routes(server: Server) -> list[Route]:
    found = Callees(server)

    async def about(request: Request) -> Response:
        return http.json_reply({"name": "motet", "version": version("motet"), "extensions": ["binary_tensor_data"]})

    async def live(request: Request) -> Response:
        return http.json_reply({"live": True})

    async def ready(request: Request) -> Response:
        return http.json_reply({"ready": server.ready}, 200 if server.ready else 503)

    async def model_ready(request: Request) -> Response:
        callee = _called(found, request)
        return http.json_reply({"name": callee.name, "ready": server.ready}, 200 if server.ready else 503)

    async def model(request: Request) -> Response:
        return http.json_reply(_card(_called(found, request)))

    async def infer(request: Request) -> Response:
        callee = _called(found, request)
        body = await http.body_of(request)
        asked = tensors.asked(body, request.headers.get(tensors.LENGTH), callee.inputs, callee.outputs)
        ends = http.ends(request, server.limits.seconds)
        made = await http.while_there(request, _of(callee.call(asked, ends)))
        head: dict[str, Any] = {"model_name": callee.name, "model_version": str(callee.version)}
        said = tensors.told(head | ({"id": asked.id} if asked.id else {}), made, callee.outputs, asked.binary)
        if said.length is None:
            return Response(said.body, media_type=JSON)
        return Response(said.body, media_type=BINARY, headers={tensors.LENGTH: str(said.length)})

    async def only_posted(request: Request) -> Response:
        raise Refused(405, f"{request.method} is not taken here", "this path takes POST", {"Allow": "POST"})

    async def nothing(request: Request) -> Response:
        raise Refused(404, "there is nothing here", "GET /v2/models/NAME tells of a model")

    reading = [(f"{at}/ready", model_ready) for at in (VERSION, MODEL)]
    calling = [Route(f"{at}/infer", _shaped(infer), methods=["POST"]) for at in (VERSION, MODEL)]
    calling += [Route(f"{MODEL}/infer", _shaped(only_posted), methods=["GET"])]
    plain = [("/v2", about), ("/v2/health/live", live), ("/v2/health/ready", ready)]
    cards = [(VERSION, model), (MODEL, model)]
    return [
        *calling,
        *(Route(path, _shaped(endpoint)) for path, endpoint in (*plain, *reading, *cards)),
        Route("/v2/{rest:text}", _shaped(nothing), methods=["GET", "POST"]),
    ]


async def _of(work: Awaitable[Any]) -> Any:
    return await work


def _called(found: Callees, request: Request) -> Callee:
    """The model that the path names."""
    there, name = found.all(), str(request.path_params["name"])
    if name not in there:
        raise _unknown(there, name)
    wanted = request.path_params.get("version")
    if wanted not in (None, str(there[name].version)):
        raise Refused(404, f"{name!r} has no version {wanted[:60]!r}", f"there is: {there[name].version}")
    return there[name]


def _unknown(there: Mapping[str, Callee], name: str) -> Refused:
    """A model that is not there, or something that a model has not."""
    for known in there:
        if name.startswith(f"{known}/"):
            path, what = f"/v2/models/{known}", name.removeprefix(f"{known}/")
            return Refused(404, f"{path} has no {what[:60]!r}", f"GET {path}, GET {path}/ready, POST {path}/infer")
    return Refused(404, f"no model is called {name[:60]!r}", listed(there, name))


def _card(callee: Callee) -> dict[str, Any]:
    inputs, outputs = [spec.card for spec in callee.inputs], [spec.card for spec in callee.outputs]
    head = {"name": callee.name, "versions": [str(callee.version)], "platform": "motet"}
    return head | {"inputs": inputs, "outputs": outputs}


def speaks(path: str) -> bool:
    """Whether clients of the protocol ask for a path."""
    return path == "/v2" or path.startswith("/v2/")


def refusal(error: Exception) -> Response:
    """The reply to an error, as the protocol has it."""
    wrong = problems.of(error)
    said = problems.told(f"{wrong.detail}; {wrong.help}" if wrong.help else wrong.detail)
    return http.json_reply({"error": said}, 400 if wrong.status == 422 else wrong.status, wrong.headers)


def _shaped(endpoint: Endpoint) -> Endpoint:
    """The endpoint, with what it refuses said as the protocol has it."""

    async def call(request: Request) -> Response:
        try:
            return await endpoint(request)
        except problems.KNOWN as error:
            return refusal(error)

    return call


ERROR: Schema = object_of({"error": TEXT})
SHAPE: Schema = {"type": "array", "items": {"type": "integer"}}
NAME: dict[str, Any] = {"name": "name", "in": "path", "required": True}


def paths(server: Server) -> Paths:
    # What is to be escaped in a path is left out: the document is for people and generators.
    names = [name for name in Callees(server).all() if name.isidentifier()]
    named: Schema = {**NAME, "schema": {"enum": names}}
    missing = {"404": "there is no such model"}
    truth: Schema = {"type": "boolean"}
    refused = refusals((400, 401, 404, 408, 413, 415, 429, 503, 504), ERROR, JSON)
    about = object_of({"name": TEXT, "version": TEXT, "extensions": {"type": "array", "items": TEXT}})
    ready = get("Whether it takes requests", object_of({"ready": truth}), {"503": "it does not"})
    model_ready = object_of({"name": TEXT, "ready": truth})
    return {
        "/v2": get("What serves, for clients of the Open Inference Protocol", about),
        "/v2/health/live": get("Whether the process runs", object_of({"live": truth})),
        "/v2/health/ready": ready,
        "/v2/models/{name}": get("A model's tensors", _card_schema(), missing, problem=ERROR, parameters=[named]),
        "/v2/models/{name}/ready": get(
            "Whether a model takes requests", model_ready, missing, problem=ERROR, parameters=[named]
        ),
        "/v2/models/{name}/infer": post(
            "A model, or the graph as one, called with tensors; bytes may follow the JSON",
            _request(),
            object_of({"model_name": TEXT, "model_version": TEXT, "outputs": {"type": "array"}}),
            problems=refused,
            content={BINARY: {"schema": {}}},
            parameters=[named],
        ),
    }


def _card_schema() -> Schema:
    tensor = object_of({"name": TEXT, "datatype": TEXT, "shape": SHAPE})
    several = {"type": "array", "items": tensor}
    names = {"type": "array", "items": TEXT}
    return object_of({"name": TEXT, "versions": names, "platform": TEXT, "inputs": several, "outputs": several})


def _request() -> Schema:
    """The JSON of a call."""
    any_of: Schema = {"type": "object"}
    kinds = {"enum": [*tensors.NUMBERS, "BYTES"]}
    given = {"name": TEXT, "datatype": kinds, "shape": SHAPE, "parameters": any_of, "data": {"type": "array"}}
    tensor = object_of(given, required=("name", "datatype", "shape"))
    wanted = object_of({"name": TEXT, "parameters": any_of}, required=("name",))
    inputs, outputs = {"type": "array", "items": tensor}, {"type": "array", "items": wanted}
    return object_of({"id": TEXT, "parameters": any_of, "inputs": inputs, "outputs": outputs}, required=("inputs",))
