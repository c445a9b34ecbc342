"""How requests become batches, and what happens to those that cannot be answered in time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import motet as mt
from motet.batch import Array, Batch
from motet.column import Unready, column
from motet.errors import RunError
from motet.graph import Graph
from motet.serve.engine import Engine, Limits, Overloaded, Reply, Request
from motet.serve.version import Version
from tests.serve.served import prepared
from tests.shop import Purchase
from tests.test_late import Slow

GATE = threading.Event()  # what `gated` waits for
BEGUN, LEFT = threading.Event(), threading.Event()  # `Abandoned` works, and has heard that nobody waits


@pytest.fixture(autouse=True)
def open_gate() -> Iterator[None]:
    GATE.set()
    yield
    GATE.set()


def gated_work(amount: Array) -> Array:
    GATE.wait(20)
    if (amount == 13).any():
        raise ValueError("thirteen")
    return amount * 2


@dataclass(frozen=True)
class Cores(mt.Model):
    """How many cores it may use; it waits for the gate first."""

    def __call__(self, amount: mt.Number) -> mt.Number:
        return column(mt.Number, self, amount=amount)

    def apply(self, state: mt.State, batch: Batch) -> Array:
        GATE.wait(20)
        return np.full(batch.rows, batch.cores, np.float64)


@dataclass(frozen=True)
class Abandoned(mt.Model):
    """A late text that takes until nobody waits for it any more."""

    def __call__(self, text: mt.Text) -> mt.Late[mt.Text]:
        return mt.Late(mt.Text, mt.column(Unready, self, text=text))

    def apply(self, state: mt.State, batch: Batch) -> pa.Array:
        assert batch.left is not None
        BEGUN.set()
        if batch.left.wait(20):
            LEFT.set()
        return pa.array(["too late"] * batch.rows, pa.large_string())


gated = mt.function(mt.Number)(gated_work)(Purchase.amount)


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Version]:
    graphs = {
        "alone": Graph(value=gated),
        "otherwise": Graph(value=gated.otherwise(Purchase.amount)),
        "cores": Graph(value=Cores()(Purchase.amount)),
        "abandoned": Graph(said=Abandoned()(Purchase.search).within(seconds=15, otherwise="")),
        "worth it": Graph(
            said=Slow(1.0)(Purchase.search).within(seconds=15, otherwise="no", where=Purchase.amount > 5)
        ),
        "late": Graph(said=Slow(1.0)(Purchase.search).within(seconds=0.3, otherwise="later")),
    }
    GATE.set()
    return {name: Version(prepared(tmp_path_factory.mktemp(name), graph), 1) for name, graph in graphs.items()}


def ask(amount: float) -> dict[str, Any]:
    return {"buyer": "b3", "amount": amount}


def run(work: Callable[[Engine], Coroutine[Any, Any, Any]], limits: Limits, **told: Any) -> Any:
    """Runs the work with an engine, which is stopped at its end."""

    async def whole() -> Any:
        engine = Engine(limits, **told)
        engine.start()
        try:
            return await work(engine)
        finally:
            GATE.set()
            await engine.stop()

    return asyncio.run(whole())


def several(engine: Engine, version: Version, amounts: list[float], **how: Any) -> list[asyncio.Task[Reply]]:
    return [asyncio.ensure_future(engine.ask(version, ask(amount), **how)) for amount in amounts]


def test_what_arrives_while_it_works_is_its_next_batch(versions: dict[str, Version]) -> None:
    sizes: list[int] = []

    async def work(engine: Engine) -> list[Reply]:
        GATE.clear()
        first = several(engine, versions["alone"], [1.0])
        await asyncio.sleep(0.2)
        others = several(engine, versions["alone"], [2.0, 3.0, 4.0, 5.0, 6.0])
        await asyncio.sleep(0.2)
        GATE.set()
        return await asyncio.gather(*first, *others)

    found = run(work, Limits(threads=1, batch=4), measured=lambda batch, seconds: sizes.append(len(batch)))
    assert [reply.answer["value"] for reply in found] == [2.0, 4.0, 6.0, 8.0, 10.0, 12.0]
    assert sizes == [1, 4, 1]


def test_free_threads_share_what_waits(versions: dict[str, Version]) -> None:
    sizes: list[int] = []

    async def work(engine: Engine) -> None:
        await asyncio.gather(*several(engine, versions["alone"], [float(i) for i in range(8)]))

    run(work, Limits(threads=2), measured=lambda batch, seconds: sizes.append(len(batch)))
    assert sum(sizes) == 8
    assert max(sizes) <= 7


def test_what_is_alone_may_use_several_cores(versions: dict[str, Version]) -> None:
    async def work(engine: Engine) -> list[float]:
        GATE.clear()
        first = several(engine, versions["cores"], [1.0])
        await asyncio.sleep(0.1)
        beside = several(engine, versions["cores"], [2.0])
        await asyncio.sleep(0.1)
        GATE.set()
        replies = [await first[0], await beside[0]]
        await asyncio.sleep(0.1)  # a thread is free only after it has answered
        replies.append(await engine.ask(versions["cores"], ask(3.0)))
        return [reply.answer["value"] for reply in replies]

    assert run(work, Limits(cores=3)) == [3.0, 1.0, 3.0]


def test_a_lone_request_after_another_meets_the_same_thread(versions: dict[str, Version]) -> None:
    threads: list[threading.Thread] = []

    async def work(engine: Engine) -> None:
        for _ in range(8):
            await engine.ask(versions["alone"], ask(1.0))
            await asyncio.sleep(0.02)

    run(work, Limits(threads=3), catch_up=lambda version: threads.append(threading.current_thread()))
    assert len(set(threads)) == 1


def test_one_that_fails_does_not_spoil_the_others(versions: dict[str, Version]) -> None:
    async def work(engine: Engine) -> list[Reply | BaseException]:
        return await asyncio.gather(*several(engine, versions["alone"], [1.0, 13.0, 2.0]), return_exceptions=True)

    one, failed, two = run(work, Limits(threads=1))
    assert (one.answer["value"], two.answer["value"]) == (2.0, 4.0)
    assert isinstance(failed, RunError)
    assert "thirteen" in str(failed)


def test_a_defect_does_not_spoil_the_others(versions: dict[str, Version], monkeypatch: pytest.MonkeyPatch) -> None:
    begin = Version.begin

    def broken(version: Version, rows: list[dict[str, Any]], *more: Any) -> Any:
        if any(row["amount"] == 13 for row in rows):
            raise KeyError("a defect")
        return begin(version, rows, *more)

    async def work(engine: Engine) -> list[Reply | BaseException]:
        return await asyncio.gather(*several(engine, versions["alone"], [1.0, 13.0, 2.0]), return_exceptions=True)

    monkeypatch.setattr(Version, "begin", broken)
    one, failed, two = run(work, Limits(threads=1))
    assert (one.answer["value"], two.answer["value"]) == (2.0, 4.0)
    assert isinstance(failed, KeyError)


def test_a_full_queue_refuses_at_once(versions: dict[str, Version]) -> None:
    async def work(engine: Engine) -> float:
        GATE.clear()
        first = several(engine, versions["alone"], [1.0])
        await asyncio.sleep(0.1)
        waiting = several(engine, versions["alone"], [2.0, 3.0])
        await asyncio.sleep(0)
        began = time.perf_counter()
        with pytest.raises(Overloaded) as refused:
            await engine.ask(versions["alone"], ask(4.0))
        took = time.perf_counter() - began
        assert refused.value.seconds >= 1
        with pytest.raises(Overloaded):
            await engine.ask(versions["alone"], ask(4.0), size=1 << 30)
        GATE.set()
        await asyncio.gather(*first, *waiting)
        assert engine.bytes == 0
        return took

    assert run(work, Limits(threads=1, waiting=2)) < 0.1


def test_at_the_deadline_the_otherwise_answers_and_is_named(versions: dict[str, Version]) -> None:
    async def work(engine: Engine) -> tuple[Reply, float]:
        GATE.clear()
        began = time.monotonic()
        reply = await engine.ask(versions["otherwise"], ask(7.0), ends=began + 0.5)
        return reply, time.monotonic() - began

    reply, took = run(work, Limits())
    assert reply.answer == {"value": 7.0}
    assert list(reply.answered_by.values()) == ["Purchase.amount"]
    assert took < 0.6


def test_in_time_the_strong_one_answers_and_where_it_fails_the_otherwise(versions: dict[str, Version]) -> None:
    async def work(engine: Engine) -> list[Reply]:
        version = versions["otherwise"]
        return [await engine.ask(version, ask(7.0)), await engine.ask(version, ask(13.0))]

    strong, failed = run(work, Limits())
    assert strong.answer == {"value": 14.0}
    assert failed.answer == {"value": 13.0}
    assert set(strong.answered_by.values()) != set(failed.answered_by.values()) == {"Purchase.amount"}


def test_a_late_value_that_waits_for_its_turn_is_not_waited_for_longer(versions: dict[str, Version]) -> None:
    async def work(engine: Engine) -> tuple[list[Reply], float]:
        began = time.monotonic()
        return await asyncio.gather(*several(engine, versions["late"], [1.0] * 128)), time.monotonic() - began

    replies, took = run(work, Limits(batch=1))
    assert {reply.answer["said"] for reply in replies} == {"later"}
    assert took < 1.5  # 16 at a time: 2.4 if each waited 0.3 s from its turn on


def test_one_in_a_hurry_leaves_the_others_their_time(versions: dict[str, Version]) -> None:
    async def work(engine: Engine) -> list[Reply]:
        version = versions["otherwise"]
        GATE.clear()
        first = several(engine, version, [1.0])
        await asyncio.sleep(0.1)
        hurried = several(engine, version, [2.0], ends=time.monotonic() + 0.4)
        others = several(engine, version, [3.0, 4.0])
        await asyncio.sleep(0.1)
        asyncio.get_running_loop().call_later(0.6, GATE.set)
        replies = await asyncio.gather(*others, *first)
        await asyncio.gather(*hurried, return_exceptions=True)
        return replies

    assert [reply.answer["value"] for reply in run(work, Limits(threads=1))] == [6.0, 8.0, 2.0]


def test_those_who_left_take_nobodys_place(versions: dict[str, Version]) -> None:
    async def work(engine: Engine) -> None:
        GATE.clear()
        first = several(engine, versions["alone"], [1.0])
        await asyncio.sleep(0.1)
        gone = several(engine, versions["alone"], [2.0, 3.0])
        await asyncio.sleep(0)
        for task in gone:
            task.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
        assert not engine.waiting
        GATE.set()
        await asyncio.gather(*first)

    run(work, Limits(threads=1, waiting=2))


def test_who_need_not_wait_for_a_late_value_is_answered_before_those_who_do(versions: dict[str, Version]) -> None:
    async def work(engine: Engine) -> tuple[list[Reply], list[Reply]]:
        tasks = several(engine, versions["worth it"], [7.0, 1.0, 8.0, 2.0])
        await asyncio.sleep(0.5)
        at_once = [task.result() for task in tasks if task.done()]
        return at_once, await asyncio.gather(*tasks)

    at_once, replies = run(work, Limits(threads=1))
    assert len(at_once) == 2
    assert [reply.answer["said"] for reply in replies] == ["hello", "no", "hello", "no"]
    assert len({str(reply.answered_by) for reply in at_once}) == 1
    assert [reply.answered_by == at_once[0].answered_by for reply in replies] == [False, True, False, True]


def test_late_work_that_nobody_waits_for_any_more_hears_of_it(versions: dict[str, Version]) -> None:
    async def work(engine: Engine) -> None:
        asked = several(engine, versions["abandoned"], [1.0, 2.0])
        assert await asyncio.to_thread(BEGUN.wait, 10)
        asked[0].cancel()
        assert not await asyncio.to_thread(LEFT.wait, 0.2)  # the other still waits
        asked[1].cancel()
        assert await asyncio.to_thread(LEFT.wait, 10)
        await asyncio.gather(*asked, return_exceptions=True)

    run(work, Limits(threads=1))


def test_without_an_otherwise_a_deadline_is_an_error(versions: dict[str, Version]) -> None:
    async def work(engine: Engine) -> float:
        GATE.clear()
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await engine.ask(versions["alone"], ask(7.0), ends=began + 0.3)
        return time.monotonic() - began

    assert 0.2 < run(work, Limits()) < 0.6


def test_one_whose_turn_never_comes_is_refused_and_may_try_again(versions: dict[str, Version]) -> None:
    async def work(engine: Engine) -> float:
        GATE.clear()
        first = several(engine, versions["alone"], [1.0])
        await asyncio.sleep(0.1)
        with pytest.raises(Overloaded) as refused:
            await engine.ask(versions["alone"], ask(7.0), ends=time.monotonic() + 0.3)
        GATE.set()
        await asyncio.gather(*first)
        return refused.value.seconds

    assert run(work, Limits(threads=1)) >= 1


def test_one_whose_turn_comes_too_late_is_refused_too(versions: dict[str, Version]) -> None:
    async def work(engine: Engine) -> None:
        GATE.clear()
        first = several(engine, versions["alone"], [1.0])
        await asyncio.sleep(0.1)
        late = several(engine, versions["alone"], [7.0], ends=time.monotonic() + 0.6)
        await asyncio.sleep(0.45)
        GATE.set()  # the first is answered, and the other one begins
        await asyncio.gather(*first)
        GATE.clear()
        with pytest.raises(Overloaded):
            await late[0]

    def slow(version: Version) -> None:
        time.sleep(0.4)

    run(work, Limits(threads=1), catch_up=slow)


def test_what_nobody_waits_for_is_not_computed(versions: dict[str, Version]) -> None:
    answered: list[float] = []

    def measured(batch: list[Request], seconds: float) -> None:
        answered.extend(request.row["amount"] for request in batch)

    async def work(engine: Engine) -> None:
        GATE.clear()
        first = several(engine, versions["alone"], [1.0])
        await asyncio.sleep(0.1)
        gone, stays = several(engine, versions["alone"], [2.0, 3.0])
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        GATE.set()
        await asyncio.gather(*first, stays)

    run(work, Limits(threads=1), measured=measured)
    assert answered == [1.0, 3.0]


def test_stopping_finishes_what_waits_and_takes_nothing_new(versions: dict[str, Version]) -> None:
    async def work(engine: Engine) -> None:
        GATE.clear()
        tasks = several(engine, versions["alone"], [1.0, 2.0, 3.0])
        await asyncio.sleep(0.1)
        stopping = asyncio.ensure_future(engine.stop())
        await asyncio.sleep(0.05)
        with pytest.raises(Overloaded):
            await engine.ask(versions["alone"], ask(4.0))
        GATE.set()
        await stopping
        assert [(await task).answer["value"] for task in tasks] == [2.0, 4.0, 6.0]

    run(work, Limits(threads=1))


def test_a_catch_up_that_fails_costs_a_batch_and_no_thread(versions: dict[str, Version]) -> None:
    problems = [OSError("the log is gone")]

    def catch_up(version: Version) -> None:
        if problems:
            raise problems.pop()

    async def work(engine: Engine) -> Reply:
        with pytest.raises(OSError, match="gone"):
            await engine.ask(versions["alone"], ask(1.0))
        return await engine.ask(versions["alone"], ask(2.0))

    assert run(work, Limits(threads=1), catch_up=catch_up).answer == {"value": 4.0}


def test_two_threads_answer_what_one_answers(versions: dict[str, Version]) -> None:
    amounts = np.random.default_rng(0).uniform(20, 50, 200).round(2).tolist()

    async def work(engine: Engine) -> list[Reply]:
        return await asyncio.gather(*several(engine, versions["alone"], amounts))

    found = run(work, Limits(threads=2))
    assert [reply.answer["value"] for reply in found] == [amount * 2 for amount in amounts]
