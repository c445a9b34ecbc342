"""The command line as a user meets it: the real `motet` on a graph in a file, and what it says when it cannot."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import motet as mt
from motet import cli
from motet.serve.journal import Happened
from motet.serve.log import opened, written
from motet.store import Store

MOTET = Path(sys.executable).parent / "motet"

GRAPH = '''
import os, time
from dataclasses import dataclass

import motet as mt
from motet.model import Model, State


class Item(mt.Entity):
    item_id: mt.Key
    name: mt.Text
    price: mt.Number


class Buyer(mt.Entity):
    buyer_id: mt.Key


class Purchase(mt.Event):
    buyer: Buyer
    at: mt.Time
    amount: mt.Number
    item: Item = mt.outcome()
    liked: mt.Flag = mt.outcome()


@dataclass(frozen=True)
class Patient(Model):
    """Fits at once, or waits for somebody to press Ctrl-C."""

    def __call__(self, number, target):
        return mt.column(mt.Number, self, mt.learn(self, target=target, number=number), number=number)

    def fit(self, batch, target):
        while "WAIT" in os.environ:
            time.sleep(0.05)
        return State(mean=float(target.mean()))

    def apply(self, state, batch):
        return batch["number"] * 0 + state["mean"]


recent = mt.past(Purchase.amount, by=Purchase.buyer, last=3)
likes = mt.Logistic()(recent.mean(), Purchase.amount, target=Purchase.liked)
fame = mt.Popular()(Purchase.item)
top = mt.retrieve(Item, k=3, by=[fame], exclude=mt.past(Purchase.item, by=Purchase.buyer, last=2))

shop = mt.Graph(likes=likes, top=top, spent=recent.sum())
stacked = mt.Graph(patient=Patient()(likes, Purchase.liked))


def data():
    return mt.Data({Item: "items.csv", Purchase: "purchases.csv"})
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(GRAPH)
    items = [f"{i},item {i},{i + 1}" for i in range(8)]
    (tmp_path / "items.csv").write_text("\n".join(["item_id,name,price", *items]))
    rows = [f"b{i % 7},{1000 + 60 * i},{i % 11},{i * i % 8},{i % 11 > 5}" for i in range(300)]
    (tmp_path / "purchases.csv").write_text("\n".join(["buyer,at,amount,item,liked", *rows]))
    return tmp_path


def command(*words: str) -> list[str]:
    return [str(MOTET), *words]


def motet(folder: Path, *words: str, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(*words),
        cwd=folder,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def said(folder: Path, *words: str) -> Any:
    """The JSON on the last line of a command that must succeed."""
    done = motet(folder, *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def refused_here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What the command says, in this process: starting another one takes a second."""
    monkeypatch.setattr(sys, "argv", ["motet", *words])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    return capsys.readouterr().err


def refused(folder: Path, *words: str) -> str:
    """What a command that must fail says: one plain message, status 2."""
    done = motet(folder, *words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()
    return done.stderr


def test_check_says_what_a_graph_is_made_of(folder: Path) -> None:
    done = motet(folder, "check", "shop.py:shop")
    assert done.returncode == 0, done.stderr
    assert "shop.py:shop is sound" in done.stdout
    found = said(folder, "check", "shop.py:shop")
    assert (found["event"], set(found["outputs"]), found["fits"]) == ("Purchase", {"likes", "top", "spent"}, 2)
    assert not (folder / ".motet").exists()


def test_plan_prints_a_table_a_picture_or_json(folder: Path) -> None:
    assert "per request" in motet(folder, "plan", "shop.py:shop").stdout
    assert motet(folder, "plan", "shop.py:shop", "--picture").stdout.startswith("flowchart")
    columns = {line["column"]: line for line in said(folder, "plan", "shop.py:shop")["columns"]}
    assert columns["likes"]["per_request"]
    assert columns["fame"]["times"] == 8


def test_fit_keeps_states_and_a_second_one_finds_them(folder: Path) -> None:
    first = said(folder, "fit", "shop.py:shop", "--store", "kept")
    states = sorted((folder / "kept" / "states").iterdir())
    written = [path.stat().st_mtime_ns for path in states]
    assert len(states) == 2
    assert said(folder, "fit", "shop.py:shop", "--store", "kept") == first
    assert [path.stat().st_mtime_ns for path in states] == written


def test_evaluate_splits_as_it_is_told(folder: Path) -> None:
    latest = said(folder, "evaluate", "shop.py:shop", "--quiet")
    assert latest["n"] == 60
    assert {"likes", "top"} == {figure["output"] for figure in latest["figures"]}
    assert {"value", "low", "high", "n"} == set(latest["figures"][0]["estimate"])
    assert said(folder, "evaluate", "shop.py:shop", "--last", "2", "--by", "buyer")["n"] == 14
    assert said(folder, "evaluate", "shop.py:shop", "--at", "1970-01-01T05:00:00")["n"] == 300 - 284
    assert "NDCG@3" in motet(folder, "evaluate", "shop.py:shop").stdout


def test_prepare_ask_and_rollback(folder: Path) -> None:
    assert said(folder, "prepare", "shop.py:shop")["version"] == 1
    answer = said(folder, "ask", "shop.py:shop", "buyer=b1", "amount=3")
    assert answer["spent"] > 0
    assert 0 < answer["likes"] < 1
    assert len(answer["top"]) == 3
    rows = (folder / "purchases.csv").read_text()
    (folder / "purchases.csv").write_text(f"{rows}\nb1,900000,1000,1,True")
    assert said(folder, "prepare", "shop.py:shop")["version"] == 2
    assert said(folder, "ask", "shop.py:shop", "buyer=b1", "amount=3")["spent"] > 1000
    assert said(folder, "rollback", "shop.py:shop")["version"] == 1
    assert said(folder, "ask", "shop.py:shop", "buyer=b1", "amount=3") == answer
    plain = motet(folder, "ask", "shop.py:shop", "buyer=b1", "amount=3")
    assert json.loads(plain.stdout) == answer


def test_returns_are_kept_with_the_published_version_where_there_is_one(folder: Path) -> None:
    target = "shop.py:optional"
    with (folder / "shop.py").open("a") as file:
        file.write("average = recent.mean().otherwise(None)\n")
        file.write("optional = mt.Graph(likes=mt.Logistic()(average, Purchase.amount, target=Purchase.liked))\n")
    assert "there is no store" in refused(folder, "returns", target, "--keep")
    said(folder, "prepare", target)
    found = said(folder, "returns", target, "--cpu-hour", "0.04", "--keep")
    kept = Store(folder / ".motet").report("optional", 1, "returns")
    assert kept is not None
    assert kept["report"] == found


def test_an_answer_needs_neither_sources_nor_their_parsing(folder: Path) -> None:
    said(folder, "prepare", "shop.py:shop")
    (folder / "purchases.csv").unlink()
    assert said(folder, "ask", "shop.py:shop", "buyer=b1", "amount=3")["spent"] > 0


def test_models_are_listed_by_place(folder: Path) -> None:
    rows = {row["model"]: row for row in said(folder, "models")["models"]}
    assert {"LightGBM", "Logistic", "Popular", "BM25"} <= set(rows)
    assert rows["BM25"]["place"].startswith("content")
    assert {name for name, row in rows.items() if row["depth"] == "deep"} >= {"SASRec", "Embed", "Extract", "Write"}
    assert {rows[name]["depth"] for name in ("BM25", "Popular", "LightGBM", "Classify")} == {"shallow"}
    assert all(row["says"] for row in rows.values())
    assert rows["Embed"]["files"][1] == {"name": "wordllama", "mb": 18, "licence": "MIT"}
    assert rows["Rerank"]["files"][0]["licence"] == "Apache-2.0"
    runs_another = {"Draw", "Endpoint", "Function", "MLflow", "ONNX", "Sklearn", "Torch"}
    assert {name for name, row in rows.items() if row["measured"] is None} == runs_another
    assert rows["ALS"]["measured"]["data"] == "ml-100k"


def test_an_escalation_is_measured_and_drawn(folder: Path) -> None:
    graph = f"{Path(__file__).parent / 'tickets.py'}:desk"
    found = said(folder, "escalation", graph, "--at", "1970-01-01T11:40", "--picture", "curve.png", "--store", "desk")
    assert found["name"] == "topic"
    assert 0.2 < found["equal_share"]["value"] < 0.6
    assert (folder / "curve.png").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("check nowhere.py:shop", "there is no file nowhere.py"),
        ("check FILE", "names no graph"),
        ("check FILE:shopp", "did you mean 'shop'"),
        ("ask FILE:shop buyer=b1", "there is no store in .motet"),
        ("ask FILE:shop --store nowhere", "there is no store in nowhere\nhelp: motet prepare"),
        ("rollback FILE:shop --store nowhere", "there is no store in nowhere\nhelp: motet prepare"),
        ("evaluate FILE:shop --at some-day", "some-day"),
        ("evaluate FILE:shop --last 1 --by byer", "did you mean 'buyer'"),
        ("evaluate FILE:shop --at 2300-01-01", "would have no events"),
        ("escalation FILE:shop", "nothing is escalated in this graph"),
        ("returns FILE:shop --caught amount --false-alarm -1", "no model of this graph is optional"),
        ("returns FILE:shop --hit 1 --tokens gpt", "'gpt' is no price of tokens"),
        ("returns FILE:shop --wrong -1", "a Worth says"),
        ("returns FILE:shop --within 2d", "--within is for a log of answers"),
        ("returns FILE:shop --happened x.jsonl", "help: --from-log FILE"),
        ("returns FILE:shop --from-log x.jsonl --cpu-hour 1", "--cpu-hour has no effect on what a log tells"),
        ("returns FILE:shop --hit 1 --picture nowhere/a.png", "there is no folder nowhere to draw a.png in"),
        ("returns FILE:shop --hit 1 --picture /proc/a.png", "nothing can be drawn in /proc/a.png"),
        ("returns FILE:shop --hit 1 --from-log x", "what happened after the answers is not given\nhelp: --happened"),
        ("returns FILE:shop --hit 1 --from-log x --happened y", "there is no file y\nhelp: --happened"),
        ("returns FILE:shop --hit 1 --from-log x --happened FILE", "line 1 of shop.py is no JSON object"),
        ("escalation FILE:shop --picture a.jpg", "nothing is escalated"),
        ("returns FILE:shop --caught price --false-alarm -1", "neither an amount nor a Number of Purchase"),
    ],
)
def test_what_cannot_be_done_is_one_plain_error(
    folder: Path,
    words: str,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    given = words.replace("FILE", str(folder / "shop.py")).split()
    assert expected in refused_here(monkeypatch, capsys, *given)
    assert not [name for name in (".motet", "nowhere") if (folder / name).exists()]


def test_only_an_option_that_is_spelt_alike_is_suggested(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--on" not in refused_here(monkeypatch, capsys, "serve", "shop.py:shop", "--foo")
    assert "--store" in refused_here(monkeypatch, capsys, "serve", "shop.py:shop", "--stoer", "x")


def test_what_is_not_published_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    (folder / ".motet").mkdir()
    for verb in ("ask", "rollback"):
        assert "nothing is published" in refused_here(monkeypatch, capsys, verb, str(folder / "shop.py:shop"))
    assert not list((folder / ".motet").iterdir())


def test_where_nothing_says_which_version_is_current_it_is_said_and_a_rollback_points_at_the_newest(
    folder: Path,
) -> None:
    said(folder, "prepare", "shop.py:shop")
    (folder / ".motet/versions/shop/CURRENT").unlink()
    wrong = refused(folder, "ask", "shop.py:shop", "buyer=b1", "amount=3")
    assert "which version of 'shop' is current; there are: 1" in wrong
    assert "motet rollback FILE.py:shop" in wrong
    assert said(folder, "rollback", "shop.py:shop") == {"version": 1}
    said(folder, "ask", "shop.py:shop", "buyer=b1", "amount=3")


def test_a_wrong_ask_is_one_plain_error(folder: Path) -> None:
    said(folder, "prepare", "shop.py:shop")
    assert "is no field" in refused(folder, "ask", "shop.py:shop", "buyer")
    twice = refused(folder, "ask", "shop.py:shop", "buyer=b1", "amount=3", "buyer=b2")
    assert "buyer is given twice\nhelp: one of: buyer=b1, buyer=b2" in twice
    assert "did you mean 'amount'" in refused(folder, "ask", "shop.py:shop", "amuont=3", "buyer=b1")
    assert "amount" in refused(folder, "ask", "shop.py:shop", "buyer=b1")


def test_a_changed_graph_does_not_answer_from_what_another_one_prepared(folder: Path) -> None:
    said(folder, "prepare", "shop.py:shop")
    (folder / "shop.py").write_text(GRAPH.replace("last=3", "last=4"))
    assert "has changed since it was prepared" in refused(folder, "ask", "shop.py:shop", "buyer=b1", "amount=3")


def test_wrong_data_and_wrong_graphs_are_plain_errors(folder: Path) -> None:
    rows = (folder / "purchases.csv").read_text()
    (folder / "purchases.csv").write_text(f"{rows}\nb1,900000,much,99,True")
    error = refused(folder, "fit", "shop.py:shop")
    assert "much" in error
    assert "99" in error
    (folder / "shop.py").write_text(GRAPH.replace("target=Purchase.liked", "target=Purchase.likes"))
    assert "did you mean 'liked'" in refused(folder, "check", "shop.py:shop")


def test_with_json_an_error_is_json_too(folder: Path) -> None:
    done = motet(folder, "check", "shop.py:shopp", "--json")
    assert done.returncode == 2
    assert "did you mean 'shop'" in json.loads(done.stdout.splitlines()[-1])["error"]


def test_events_are_written_to_a_file_that_data_can_be_bound_to(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    assert "there is no store" in refused_here(monkeypatch, capsys, "events", "shop.py:shop", "--export", "new.jsonl")
    journal = opened(None, "shop", Path(".motet"))
    written(journal, [[Happened("a", "Purchase", '{"buyer": "b1", "at": 9e5, "amount": 2, "item": 3}', "d")]])
    journal.close()
    monkeypatch.setattr(sys, "argv", ["motet", "events", "shop.py:shop", "--export", "new.jsonl", "--json"])
    cli.app(standalone_mode=False)
    assert json.loads(capsys.readouterr().out) == {"events": 1, "file": "new.jsonl"}
    row = {"buyer": "b1", "at": 9e5, "amount": 2, "item": 3, "liked": None}
    assert json.loads(Path("new.jsonl").read_text()) == row


def test_ctrl_c_keeps_the_states_that_were_finished(folder: Path) -> None:
    """The lower models are fitted, the one stacked on them waits: Ctrl-C there loses nothing."""
    fitting = subprocess.Popen(
        command("fit", "shop.py:stacked"),
        cwd=folder,
        env={**os.environ, "WAIT": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    states = folder / ".motet" / "states"
    until = time.monotonic() + 60
    while len(list(states.glob("*.npz"))) < 2 and fitting.poll() is None and time.monotonic() < until:
        time.sleep(0.1)
    kept = {path.name: path.stat().st_mtime_ns for path in states.glob("*.npz")}
    time.sleep(0.5)  # so that it is the upper model that is interrupted
    fitting.send_signal(signal.SIGINT)
    _, error = fitting.communicate(timeout=60)
    assert fitting.returncode == 130, error
    assert "what was finished is kept" in error
    assert "Traceback" not in error
    assert len(kept) == 2
    assert len(said(folder, "fit", "shop.py:stacked")["states"]) == 2
    again = {path.name: path.stat().st_mtime_ns for path in states.glob("*.npz")}
    assert len(again) == 3
    assert kept.items() <= again.items(), "found, not fitted again"


def test_a_length_of_time_has_its_unit() -> None:
    assert cli._seconds("3s") == 3.0
    with pytest.raises(mt.DataError, match="--within: '3' is no length of time\nhelp: a number and its unit"):
        cli._seconds("3")


def test_a_line_of_what_happened_that_is_no_json_is_named(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text('{"at": 1}\n{"at": \n')
    with pytest.raises(mt.DataError, match=r"line 2 of events\.jsonl is no JSON object"):
        cli._rows(file)
