"""`motet`: the verbs of a graph on the command line. A graph is named FILE.py:GRAPH."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from motet import loading
from motet.column import Number, Text
from motet.errors import DataError, GraphError, MotetError, listed, nearest
from motet.graph import Graph
from motet.node import grain_name
from motet.returns import optional, plots
from motet.returns.escalation import escalated
from motet.returns.served import served
from motet.returns.worth import Prices, Worth
from motet.run.ray.config import Ray
from motet.span import seconds_of

STOPPED = 130
"""The exit status of what was stopped by Ctrl-C."""


class Verbs(TyperGroup):
    """The commands. Of an option that there is not, only what is spelt like it is suggested."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            told = vars(error)  # of typer's error about an unknown option, whose class has no public name
            if near := told.get("possibilities"):
                told["possibilities"] = [name for name in near if nearest([name[2:]], told["option_name"][2:])]
            raise


app = typer.Typer(cls=Verbs, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

Target = Annotated[str, typer.Argument(metavar="FILE.py:GRAPH", help="such as examples/films/graph.py:films")]
Json = Annotated[bool, typer.Option("--json", help="one JSON object on the last line, for programs")]
Folder = Annotated[Path | None, typer.Option("--store", help="where states and columns are kept; default .motet")]
Quiet = Annotated[bool, typer.Option("--quiet", help="no progress bars")]
Seed = Annotated[int, typer.Option(help="fixes everything that is drawn at random")]
At = Annotated[str | None, typer.Option(help="test on the events from this time on: 2001-01-01")]
Last = Annotated[int | None, typer.Option(help="test on the last so many events of each reference --by")]
CpuHour = Annotated[float, typer.Option(help="what a processor core costs an hour")]
GpuHour = Annotated[float, typer.Option(help="what a GPU costs an hour, of language models that say gpus=")]
Tokens = Annotated[list[str] | None, typer.Option(help="a million tokens read and written: MODEL=0.15,0.6")]
On = Annotated[
    str | None,
    typer.Option(metavar="ray[://HOST:PORT][,workers=4]", help="run on a Ray cluster; default: in this process"),
]
By = Annotated[str | None, typer.Option(help="the reference of --last, such as viewer")]

Log = Annotated[
    str | None,
    typer.Option(
        "--events", metavar="FILE|URL", help="the event log: a file, or postgresql://...; default: in the store"
    ),
]


@app.command()
def check(target: Target, as_json: Json = False) -> None:
    """Builds the graph and says what it is made of; nothing is read or computed."""
    graph = loading.graph(target)
    outputs = {name: f"{column.kind} per {grain_name(column.grain)}" for name, column in graph.outputs.items()}
    outputs |= {name: f"{said}, prepared, not asked" for name, said in outputs.items() if name not in graph.answered}
    event = graph.event.__name__ if graph.event else None
    found = {
        "graph": target,
        "event": event,
        "outputs": outputs,
        "columns": len(graph.columns),
        "fits": len(graph.fits),
    }
    lines = [
        f"{target} is sound: {len(graph.columns)} columns, {len(graph.fits)} to fit, asked by {event or 'nothing'}"
    ]
    _say(found, "\n".join([*lines, *(f"  {name}: {column}" for name, column in outputs.items())]), as_json)


@app.command()
def plan(
    target: Target,
    measure: Annotated[bool, typer.Option(help="try costly models on a few rows to learn what they cost")] = False,
    picture: Annotated[bool, typer.Option(help="the graph as a mermaid picture instead")] = False,
    store: Folder = None,
    as_json: Json = False,
) -> None:
    """Prints what is computed when, how often and at what cost."""
    graph = loading.graph(target)
    made = graph.plan(loading.data(target), store=store, measure=measure)
    if as_json:
        print(made.to_json())
    else:
        print(made.mermaid if picture else made)


@app.command()
def fit(
    target: Target, store: Folder = None, seed: Seed = 0, quiet: Quiet = False, on: On = None, as_json: Json = False
) -> None:
    """Fits every model on all data; what is unchanged is kept."""
    place = _place(on)
    fitted = loading.graph(target).fit(loading.needed(target), store=store, seed=seed, quiet=quiet, on=place)
    _say(
        {"states": dict(fitted.states.names)},
        f"fitted: {len(fitted.states.names)} states in {fitted.store.root}",
        as_json,
    )


@app.command()
def evaluate(
    target: Target,
    at: At = None,
    last: Last = None,
    by: By = None,
    store: Folder = None,
    seed: Seed = 0,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Fits on the earlier events and measures on the later ones; without --at or --last the latest fifth."""
    graph, data = loading.graph(target), loading.needed(target)
    train, test = loading.split(graph, data, at=at, last=last, by=by)
    found = graph.fit(train, store=store, seed=seed, quiet=quiet).evaluate(test)
    _say(found.to_dict(), str(found), as_json)


OF_LOG = ("happened", "within")  # options of `motet returns` that a log is judged by
HAPPENED = "--happened FILE, as motet events --export FILE writes it"
OF_BOTH = ("target", "hit", "output", "from_log", "as_json")


def _check_mode(context: typer.Context, of_log: bool) -> None:
    """Errors: an option is given that would have no effect: a log is judged by few, a replay by the others."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    given = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    told = {str(param.name): param.opts[-1] for param in context.command.params}
    for name in given:
        if of_log and name not in (*OF_LOG, *OF_BOTH):
            kept = ", ".join(told[each] for each in (*OF_LOG, "hit", "output"))
            raise DataError(f"{told[name]} has no effect on what a log tells", help=f"a log is judged by {kept}")
        if not of_log and name in OF_LOG:
            raise DataError(f"{told[name]} is for a log of answers", help="--from-log FILE")


@app.command()
def returns(
    context: typer.Context,
    target: Target,
    at: At = None,
    last: Last = None,
    by: By = None,
    hit: Annotated[float | None, typer.Option(help="what it is worth that an item which was answered is taken")] = None,
    caught: Annotated[str | None, typer.Option(help="what a flagged positive is worth: 10, or a field: amount")] = None,
    false_alarm: Annotated[float, typer.Option(help="what a flagged negative costs, below zero: -5")] = 0.0,
    correct: Annotated[float | None, typer.Option(help="what a right label is worth")] = None,
    wrong: Annotated[float, typer.Option(help="what a wrong label costs, below zero: -0.05")] = 0.0,
    cpu_hour: CpuHour = 0.0,
    gpu_hour: GpuHour = 0.0,
    tokens: Tokens = None,
    output: Annotated[str | None, typer.Option(help="the output that is measured")] = None,
    requests: Annotated[int | None, typer.Option(help="over so many requests prepared work is spread")] = None,
    from_log: Annotated[
        Path | None, typer.Option(help="judge the versions that answered by their log: `serve --answers FILE`")
    ] = None,
    happened: Annotated[
        Path | None, typer.Option(help="what happened after: a file that `motet events --export` wrote")
    ] = None,
    within: Annotated[str, typer.Option(help="how long after an answer what is taken counts for it")] = "1d",
    picture: Annotated[Path | None, typer.Option(help="draw metric over cost: returns.png, .svg")] = None,
    keep: Annotated[bool, typer.Option(help="beside the published version, for the console to show")] = False,
    store: Folder = None,
    seed: Seed = 0,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Measures what each optional model brings and costs; with --hit, --caught or --correct, whether it is worth it."""
    _check_mode(context, from_log is not None)
    if picture is not None:
        plots.picture(picture)  # before anything is fitted for nothing
    graph = loading.graph(target)
    if from_log is not None:
        judged = served(graph, from_log, _rows(happened), _given(hit), output=output, within=_seconds(within))
        return _say(judged.to_dict(), str(judged), as_json)
    data = loading.needed(target)
    train, test = loading.split(graph, data, at=at, last=last, by=by)
    kept = loading.current(target, store) if keep else None  # before anything is fitted for nothing
    prices = Prices(cpu_hour, gpu_hour, dict(_price(each) for each in tokens or ()))
    nothing = hit is None and caught is None and correct is None and not wrong and not false_alarm
    worth = None if nothing else Worth(hit, _worth_of(graph, caught), false_alarm, correct, wrong)
    optional(graph)  # before anything is fitted for nothing
    fitted = graph.fit(train, store=store, seed=seed, quiet=quiet)
    found = fitted.returns(test, worth, prices, output=output, requests=requests)
    _say(found.to_dict(), str(found), as_json)
    if kept is not None:
        fitted.store.keep_report(loading.name(target), kept, "returns", found.to_dict())
    if picture is not None:
        plots.frontier(found, picture)


@app.command()
def escalation(
    target: Target,
    at: At = None,
    last: Last = None,
    by: By = None,
    name: Annotated[str | None, typer.Option(help="the escalated column, where there are several")] = None,
    cpu_hour: CpuHour = 0.0,
    gpu_hour: GpuHour = 0.0,
    tokens: Tokens = None,
    picture: Annotated[Path | None, typer.Option(help="draw quality over the share escalated: curve.png, .svg")] = None,
    store: Folder = None,
    seed: Seed = 0,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Measures what it buys to ask the strong model about some requests: quality and cost over their share."""
    graph, data = loading.graph(target), loading.needed(target)
    escalated(graph, name)  # before anything is fitted for nothing
    if picture is not None:
        plots.picture(picture)
    train, test = loading.split(graph, data, at=at, last=last, by=by)
    prices = Prices(cpu_hour, gpu_hour, dict(_price(each) for each in tokens or ()))
    found = graph.fit(train, store=store, seed=seed, quiet=quiet).escalation(test, prices, name=name)
    _say(found.to_dict(), str(found), as_json)
    if picture is not None:
        plots.escalation(found, picture)


@app.command()
def prepare(
    target: Target, store: Folder = None, seed: Seed = 0, quiet: Quiet = False, on: On = None, as_json: Json = False
) -> None:
    """Computes ahead what the grain allows, and publishes it. Fits first what has not been fitted."""
    place = _place(on)
    fitted = loading.graph(target).fit(loading.needed(target), store=store, seed=seed, quiet=quiet, on=place)
    done = fitted.prepare(name=loading.name(target), on=place)
    found = {"version": done.version, "rows": done.rows, "computed": done.new, "problems": done.problems}
    _say(found, str(done), as_json)


@app.command()
def ask(
    target: Target,
    fields: Annotated[list[str] | None, typer.Argument(help="the event's fields: viewer=7 query='the sea'")] = None,
    store: Folder = None,
    as_json: Json = False,
) -> None:
    """Answers one event that is arriving now, from the published version."""
    fitted = loading.published(target, store)
    event = fitted.outline.event
    kinds: dict[str, type] = dict(event.fields) if event else {}
    answer = fitted.ask(**_fields(fields or [], kinds))
    _say(answer, json.dumps(answer, indent=2, ensure_ascii=False, default=str), as_json)


@app.command()
def serve(
    target: Target,
    store: Folder = None,
    host: Annotated[str, typer.Option(help="the address to listen on; another than loopback is open to others")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="the port to listen on")] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="processes that answer on the one port")] = 1,
    canary: Annotated[
        str | None, typer.Option(metavar="VERSION=SHARE", help="another version answers so many viewers: 7=5%")
    ] = None,
    shadow: Annotated[
        str | None, typer.Option(metavar="VERSION[=SHARE]", help="another version is asked too, and only compared")
    ] = None,
    interleave: Annotated[
        str | None, typer.Option(metavar="VERSION[=SHARE]", help="so many viewers see its items among the current ones")
    ] = None,
    answers: Annotated[
        Path | None, typer.Option(help="a file that answers are logged in, a JSON object a line")
    ] = None,
    keys: Annotated[
        Path | None, typer.Option("--api-key-file", help="a file of API keys, one a line; one must be shown")
    ] = None,
    log: Log = None,
    on: On = None,
) -> None:
    """Answers over HTTP from the published version, and from the next one as soon as that is published."""
    from motet import serve as serving

    def path(given: Path | None) -> str | None:
        return None if given is None else str(given)

    told = target, path(store), host, port, workers, log, canary, shadow, interleave, path(answers), path(keys)
    settings, ray = serving.Settings(*told), _place(on)
    if ray is None:
        serving.serve(settings)
    else:
        from motet.serve import on_ray

        on_ray.serve(settings, ray)


@app.command()
def events(
    target: Target,
    export: Annotated[Path, typer.Option(help="the file that they are written to, a JSON object a line")],
    event: Annotated[
        str | None, typer.Option("--type", help="the kind of event, where the graph reads several")
    ] = None,
    log: Log = None,
    store: Folder = None,
    as_json: Json = False,
) -> None:
    """Writes what has happened since to a file that data can be bound to: mt.Data({Visit: "visits.jsonl"})."""
    from motet.serve.export import exported

    found = exported(loading.graph(target), loading.name(target), export, event, log, store)
    _say({"events": found, "file": str(export)}, f"{found:,} events in {export}", as_json)


@app.command()
def models(as_json: Json = False) -> None:
    """Lists the models that can be used: what they do, the files they may fetch and their licence, what they cost."""
    rows = loading.models()
    parts = [(r["place"], r["depth"], r["model"], _fetched(r["files"]), _cost(r["measured"])) for r in rows]
    widths = [max(map(len, column)) for column in zip(*parts, strict=True)]
    lines = [
        "  ".join([*(text.ljust(width) for text, width in zip(part, widths, strict=True)), row["says"]])
        for part, row in zip(parts, rows, strict=True)
    ]
    _say({"models": rows}, "\n".join(lines), as_json)


@app.command()
def rollback(target: Target, store: Folder = None, as_json: Json = False) -> None:
    """Makes the version before the published one current again; the newest whole one where that is damaged."""
    version = loading.rollback(target, store)
    _say({"version": version}, f"version {version} of {loading.name(target)} is current again", as_json)


def main() -> None:
    """Runs a command; what Motet refuses is one plain message and exit status 2."""
    _guarded(app, "--json" in sys.argv)


def _guarded(run: Callable[[], Any], as_json: bool) -> None:
    try:
        run()
    except MotetError as error:
        if as_json:
            print(json.dumps({"error": str(error)}))
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(2)
    except (KeyboardInterrupt, SystemExit) as end:
        if isinstance(end, SystemExit) and end.code != STOPPED:  # typer has turned Ctrl-C into an exit
            raise
        print("\nstopped; what was finished is kept", file=sys.stderr)
        sys.exit(STOPPED)


def _place(on: str | None) -> Ray | None:
    return None if on is None else Ray.read(on)


def _given(hit: float | None) -> float:
    if hit is None:
        raise DataError("what is it worth that an item which was answered is taken?", help="--hit 0.02")
    return hit


def _rows(file: Path | None) -> list[dict[str, Any]]:
    """A JSON object a line."""
    if file is None:
        raise DataError("what happened after the answers is not given", help=HAPPENED)
    if not file.is_file():
        raise DataError(f"there is no file {file}", help=HAPPENED)
    found: list[dict[str, Any]] = []
    for number, line in enumerate(file.read_bytes().rstrip().splitlines(), 1):
        try:
            found.append(json.loads(line))
        except ValueError:
            raise DataError(f"line {number} of {file.name} is no JSON object", help=HAPPENED) from None
    return found


def _seconds(given: str) -> float:
    try:
        return seconds_of(given)
    except GraphError as error:
        raise DataError(
            f"--within: {error.what}", help='a number and its unit: "90s", "15m", "6h", "7d", "2w"'
        ) from None


def _price(given: str) -> tuple[str, tuple[float, float]]:
    """MODEL=READ,WRITTEN, of a million tokens."""
    name, _, pair = given.partition("=")
    try:
        read, written = (float(price) for price in pair.split(","))
    except ValueError:
        raise DataError(f"{given!r} is no price of tokens", help="--tokens gpt-oss=0.15,0.60") from None
    return name, (read, written)


def _worth_of(graph: Graph, caught: str | None) -> float | Number | None:
    """An amount, or the event's field that holds it."""
    if caught is None:
        return None
    try:
        return float(caught)
    except ValueError:
        fields = {name: getattr(graph.event, name) for name, kind in graph.event.fields.items() if kind is Number}
        if caught not in fields:
            raise DataError(
                f"{caught!r} is neither an amount nor a Number of {graph.event.__name__}", help=listed(fields, caught)
            ) from None
        return fields[caught]


def _fields(given: list[str], kinds: Mapping[str, type]) -> dict[str, Any]:
    """The fields of an ask. Errors: one is given twice."""
    found = dict[str, Any]()
    for each in given:
        name, value = _field(each, kinds)
        if name in found:
            both = ", ".join(field for field in given if field.startswith(f"{name}="))
            raise DataError(f"{name} is given twice", help=f"one of: {both}")
        found[name] = value
    return found


def _field(given: str, kinds: Mapping[str, type]) -> tuple[str, Any]:
    """Name and value; a text is taken as it is written, everything else as JSON where it is."""
    name, equals, value = given.partition("=")
    if not equals:
        raise DataError(f"{given!r} is no field", help="write name=value: viewer=7 query='something about the sea'")
    try:
        return name, value if kinds.get(name) is Text else json.loads(value)
    except json.JSONDecodeError:
        return name, value


def _fetched(files: list[dict[str, Any]]) -> str:
    return ", ".join(f"{each['name']} {each['mb']} MB {each['licence']}" for each in files) or "-"


def _cost(measured: dict[str, Any] | None) -> str:
    if measured is None:
        return "what it runs costs"
    if "ms" in measured:
        return f"{measured['ms']:g} ms a row of {measured['data']}"
    seconds = f"{measured['cpu_seconds']:g}" if measured["cpu_seconds"] else "under 0.1"
    return f"{seconds} s, {measured['memory_mb']} MB a fit on {measured['data']}"


def _say(found: Any, text: str, as_json: bool) -> None:
    print(json.dumps(found, ensure_ascii=False, default=str) if as_json else text)
