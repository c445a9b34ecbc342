"""An escalation in the engine: who answered is told, what is spared is counted, and a budget holds under load."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import motet as mt
from motet.batch import Array
from motet.errors import RunError
from motet.fitted import Fitted, published
from motet.serve.process import Settings, shareable
from tests.serve.served import NAME, Served, gated
from tests.tickets import Expert, Ticket, expert, guess, tickets

BUDGET = 0.2


def desk(folder: Path, topic: mt.Category) -> Fitted:
    graph = mt.Graph(topic=topic)
    graph.fit(tickets(), store=folder, quiet=True).prepare(name=NAME)
    return published(graph, name=NAME, store=folder, quiet=True)


def answered(running: Served, amount: float) -> str:
    reply = running.ask(amount=amount, side=1.0, at=0)
    assert reply.status == 200
    answer = reply.json
    assert answer["answer"]["topic"] == (
        "card" if answer["answered_by"]["topic"] == "expert" or amount < 0.6 else "bill"
    )
    return answer["answered_by"]["topic"]


def test_who_answered_is_told_and_what_was_spared_is_counted(tmp_path: Path) -> None:
    with gated(desk(tmp_path, guess.label.escalate(expert, price=0.3))) as running:
        assert [answered(running, amount) for amount in (0.1, 0.9, 0.3)] == ["guess.label", "expert", "guess.label"]
        lines = running.call("GET", "/metrics").body.decode().splitlines()
    assert 'motet_model_spared_total{model="expert"} 2.0' in lines
    assert 'motet_model_rows_total{model="expert"} 1.0' in lines
    assert not any(line.startswith("motet_model_fallbacks_total") for line in lines)


def test_a_budget_is_a_limit_however_many_ask_at_once(tmp_path: Path) -> None:
    n = 200
    with gated(desk(tmp_path, guess.label.escalate(expert, budget=BUDGET))) as running, ThreadPoolExecutor(16) as pool:
        said = list(pool.map(lambda i: answered(running, 0.9 if i % 3 == 0 else 0.1), range(n)))
    assert BUDGET * n - 2 <= said.count("expert") <= BUDGET * n


def test_trying_out_what_workers_share_spends_and_earns_no_budget(tmp_path: Path) -> None:
    desk(tmp_path, guess.label.escalate(expert, budget=BUDGET))
    file = tmp_path / "graph.py"
    file.write_text(
        "import motet as mt\nfrom tests.tickets import expert, guess\n"
        f"{NAME} = mt.Graph(topic=guess.label.escalate(expert, budget={BUDGET}))\n"
    )
    version = shareable(Settings(f"{file}:{NAME}", store=str(tmp_path)))
    running = version.begin([{"amount": 0.9, "side": 1.0, "at": 0}] * 10)
    running.early()
    assert [running.answered_by(row)["topic"] for row in range(10)].count("expert") == BUDGET * 10


def test_an_hour_without_hard_ones_is_answered_by_the_cheap_model(tmp_path: Path) -> None:
    with gated(desk(tmp_path, guess.label.escalate(expert, budget=BUDGET))) as running:
        assert {answered(running, 0.1) for _ in range(20)} == {"guess.label"}


def careless(amount: Array) -> Array:
    if (amount == 0.5).any():
        raise RunError("a half")
    return amount


def test_a_budget_is_a_limit_where_batches_fail_and_are_answered_one_by_one(tmp_path: Path) -> None:
    topic = guess.label.escalate(expert, budget=BUDGET)
    graph = mt.Graph(topic=topic, amount=mt.function(mt.Number)(careless)(Ticket.amount))
    graph.fit(tickets(), store=tmp_path, quiet=True).prepare(name=NAME)
    Expert.asked.clear()
    n = 300
    with gated(published(graph, name=NAME, store=tmp_path, quiet=True)) as running, ThreadPoolExecutor(32) as pool:
        before = sum(Expert.asked)
        amounts = [0.5 if i % 10 == 0 else 0.9 for i in range(n)]
        replies = list(pool.map(lambda amount: running.ask(amount=amount, side=1.0, at=0), amounts))
        assert sum(Expert.asked) - before <= BUDGET * n
    assert {reply.status for reply in replies} == {200, 503}


def test_another_place_of_the_same_model_is_told_apart(tmp_path: Path) -> None:
    topic = guess.label.escalate(expert, budget=BUDGET)
    sure = expert.otherwise(guess.label)
    graph = mt.Graph(topic=topic, sure=sure)
    graph.fit(tickets(), store=tmp_path, quiet=True).prepare(name=NAME)
    with gated(published(graph, name=NAME, store=tmp_path, quiet=True)) as running:
        by = running.ask(amount=0.1, side=1.0, at=0).json["answered_by"]
    assert by == {"topic": "guess.label", "sure": "expert"}
