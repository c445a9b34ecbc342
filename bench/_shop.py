"""A small made-up shop, served by bench/faults.py: a past, an alternative, and a language model that writes.

It is no benchmark itself. Run as a program it is that language model: an OpenAI-compatible endpoint on a port.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from typing import Any

import motet as mt

BUYERS, ITEMS, EVENTS = 60, 200, 3_000
KINDS = ("tea", "cup", "pot", "tin", "spoon")
WITHIN = 0.6  # seconds that the text may take
THINKS = 0.02  # seconds that the endpoint takes for a text
SENTENCE = "is a good choice for all of you."


class Item(mt.Entity):
    item_id: mt.Key
    name: mt.Text
    kind: mt.Category


class Buyer(mt.Entity):
    buyer_id: mt.Key
    age: mt.Number


class Purchase(mt.Event):
    buyer: Buyer
    at: mt.Time
    search: mt.Text
    item: Item = mt.outcome()


def shop() -> mt.Data:
    drawn = random.Random(0)
    goods = [{"item_id": i, "name": f"{_kind(i)} number {i}", "kind": _kind(i)} for i in range(ITEMS)]
    people = [{"buyer_id": f"b{b}", "age": float(20 + b)} for b in range(BUYERS)]
    bought = [{**ask(drawn), "at": 1_000_000 + 60 * n, "item": drawn.randrange(ITEMS)} for n in range(EVENTS)]
    return mt.Data({Item: goods, Buyer: people, Purchase: bought})


def graph(url: str) -> mt.Graph:
    """url: of the language model."""
    taste = mt.ALS()(mt.past(Purchase.item, by=Purchase.buyer), Item)
    found = mt.retrieve(Item, k=20, by=[taste, mt.BM25()(Item.name, Purchase.search)])
    chosen = found.otherwise(mt.Popular()(Purchase.item))
    write = mt.Write(mt.LLM("writer", url=url), "Answer {search} using only {items}.")
    reply = write(search=Purchase.search, items=chosen.top(2)).within(seconds=WITHIN, otherwise="")
    return mt.Graph(top=chosen.top(5), recent=mt.past(Purchase.item, by=Purchase.buyer, last=3), reply=reply)


def ask(drawn: random.Random) -> dict[str, Any]:
    return {"buyer": f"b{drawn.randrange(BUYERS)}", "search": f"{drawn.choice(KINDS)} {drawn.randrange(ITEMS)}"}


def _kind(item: int) -> str:
    return KINDS[item % len(KINDS)]


async def _write(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": SENTENCE}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 7, "completion_tokens": 6, "total_tokens": 13}
    body = json.dumps({"choices": [choice], "usage": usage}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    try:
        while True:
            asked = (await reader.readuntil(b"\r\n\r\n")).lower()
            size = next(int(line[15:]) for line in asked.split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(size)
            await asyncio.sleep(THINKS)
            writer.write(head.encode() + body)
            await writer.drain()
    except (OSError, EOFError):
        writer.close()


async def _endpoint(port: int) -> None:
    async with await asyncio.start_server(_write, "127.0.0.1", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_endpoint(int(sys.argv[1])))
