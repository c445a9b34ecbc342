"""One evaluation of columns over data: what is shared between batches, and the batch itself."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, TimeoutError
from functools import partial
from typing import Any, TypeVar

import numpy as np

from motet import search
from motet.apply import Apply, Fit, column_of
from motet.batch import Array, Batch, Pairs, PerItem, Vocabulary, is_scores, take
from motet.clock import processor, wall
from motet.cost import Cost
from motet.data import Data
from motet.errors import MotetError, RunError
from motet.escalate import Allowance
from motet.history import History
from motet.model import State, digest
from motet.node import Column, Grain, Node, Run, event_of, item_of, name_of, upstream
from motet.past import Past
from motet.record import Entity, Event, Field
from motet.rows.kinds import nothing
from motet.run.rows import Rows
from motet.run.runner import Runner
from motet.scan import Scan
from motet.search import Index
from motet.store import Store
from motet.store.cells import row_hashes
from motet.table import Table, newcomers

T = TypeVar("T")
Tick = Callable[[Column, int, int], None]  # told (column, rows done, rows in all) while rows are computed

REASONS = 1_000
AGAIN = "when that is right, motet prepare it again: rows that were computed are kept"


class Context:
    """What every batch over the same data and states shares: entity columns, histories, what fell back.

    states: by the fingerprint of what was fitted. named: the fingerprint of each of those states.
    prepared: where the store keeps whole columns, by their fingerprint; their indexes are named after that. computed:
    how many rows of each costly column had to be computed; distinct: how many different ones were read; kept: what
    those of events took. notes: what could not be had, and why. name: what errors call a column.
    """

    def __init__(
        self,
        data: Data,
        runner: Runner,
        store: Store,
        states: Mapping[str, State] | None = None,
        named: Mapping[str, str] | None = None,
        prepared: Mapping[str, str] | None = None,
        tick: Tick = lambda column, done, of: None,
        name: Callable[[Column], str] = name_of,
    ) -> None:
        self.data, self.runner, self.store, self.tick, self.name = data, runner, store, tick, name
        self.states, self.named, self.prepared = dict(states or {}), dict(named or {}), dict(prepared or {})
        self.notes: Counter[tuple[str, str]] = Counter()
        self.computed: Counter[str] = Counter()
        self.distinct: Counter[str] = Counter()
        self.kept = Cost()
        self.known: dict[type[Entity], Vocabulary] = {}
        self._shared: dict[str, Any] = {}
        self._indexes: dict[int, tuple[Array, Index | Scan]] = {}
        self._histories: dict[tuple[str, str], tuple[Column, Column, History]] = {}
        self.moment = 0
        self._observed: list[tuple[type[Event], Table, int]] = []
        self._settled = False
        self._telling, self._noting = threading.RLock(), threading.Lock()
        self._allowances: dict[str, Allowance] = {}

    def batch(self, event: type[Event] | None = None, rows: Array | None = None) -> Batched:
        """A batch of rows of an event's table."""
        table = None if event is None else self.data.tables[event]
        return Batched(self, event, table, rows)

    def asked(self, event: type[Event], table: Table) -> Batched:
        """A batch of events that have just arrived."""
        return Batched(self, event, table, None)

    def made(self, column: Column) -> str:
        """The fingerprint of a column together with the states it depends on."""
        fits = [fit for c in upstream((column,)) for fit in c.node.fits]
        return digest(column.fingerprint, *(self.named[fit.fingerprint] for fit in fits))

    def value_name(self, column: Column) -> str:
        """What a whole entity column is kept under: what makes it and the data it is made of; of a field, its data."""
        if isinstance(column.node, Field):
            return self.data.token(column.node.record, column.node.name)
        fields = [c.node for c in upstream((column,)) if isinstance(c.node, Field)]
        return digest(self.made(column), *(self.data.token(f.record, f.name) for f in fields if not f.record.is_event))

    def shared(self, column: Column) -> Any:
        """A column that no event is part of: one value per row of its entity, or one in all."""
        key = column.fingerprint
        if key not in self._shared:
            with self._telling:
                if key not in self._shared:
                    self._shared[key] = self._computed(column)
        return self._shared[key]

    def _computed(self, column: Column) -> Any:
        node = column.node
        if isinstance(node, Field):
            return self.data.tables[node.record].columns[node.name]
        kept = self.store.value(self.prepared[column.fingerprint]) if column.fingerprint in self.prepared else None
        if kept is not None:
            return kept
        if isinstance(node, Apply) and node.model.costly:
            return self.by_rows(column, node, self.batch())
        return node.evaluate(self.batch())

    def by_rows(self, column: Column, node: Apply, run: Batched) -> Any:
        """A costly column row by row: only rows that were never computed are, and each block is kept at once."""
        args = {name: run.value(column_of(arg)) for name, arg in node.args.items()}
        aligned = _by_row(node)
        hashes = row_hashes(self.made(column), [args[name] for name in aligned])
        cells = self.store.cells(self.made(column))
        first = np.sort(np.unique(hashes, return_index=True)[1])
        new = first[~cells.known(hashes[first])]
        self.distinct[column.fingerprint] += len(first)
        rows = Rows(run.state(node.fit) if node.fit else State(), args, aligned, hashes)
        done, began = 0, (wall(), processor())
        for kept in self.runner.rows(node, rows, new, cells):
            if event_of(node.grain) is not None:
                now = wall(), processor()
                self.kept += Cost(seconds=now[0] - began[0], cpu_seconds=now[1] - began[1])
            for problem in kept.passing:
                self.note(column.node, f"{problem}, tried again by the next prepare")
            self.computed[column.fingerprint] += kept.rows
            done += kept.rows
            self.tick(column, done, len(new))
            began = wall(), processor()
        known = cells.known(hashes)
        if not known.any():
            why = next((problem for label, problem in self.notes if label == node.label()), "there are no rows")
            raise RunError(f"no row of {self.name(column)} could be computed: {why}", help=AGAIN)
        return take(cells.read(hashes[known]), np.where(known, np.cumsum(known) - 1, -1))

    def allowance(self, node: Node, budget: float) -> Allowance:
        """What a node may spend, over all batches."""
        return self._allowances.setdefault(node.fingerprint, Allowance(budget))

    def note(self, node: Node, problem: str) -> None:
        """Counts that a node's value, or a row of it, could not be had as it was to be, and why."""
        key = (node.label(), problem)
        # A reason may name what it failed at, and a server runs for long.
        with self._noting:
            self.notes[key if key in self.notes or len(self.notes) < REASONS else (key[0], "other reasons")] += 1

    def rows_kept(self, column: Column) -> tuple[Array, dict[str, int]]:
        """Which rows of a costly column are kept, bool [n], and why values are missing, counted."""
        node = column.node
        assert isinstance(node, Apply)
        made, run = self.made(column), self.batch()
        hashes = row_hashes(made, [run.value(column_of(node.args[name])) for name in _by_row(node)])
        cells = self.store.cells(made)
        passing = {problem: n for (label, problem), n in self.notes.items() if label == node.label()}
        return cells.known(hashes), cells.problems(hashes) | passing

    def index(self, items: Array) -> Index | Scan:
        """What searches item vectors. Many have an index: the kept one, or else one that is built now."""
        if id(items) not in self._indexes:
            with self._telling:
                if id(items) not in self._indexes:
                    many = len(items) > search.EXACT_UP_TO
                    self._indexes[id(items)] = items, self._index(items) if many else Scan(items)
        return self._indexes[id(items)][1]

    def _index(self, items: Array) -> Index:
        vectors = next((name for key, name in self.prepared.items() if self._shared.get(key) is items), None)
        kept = None if vectors is None else self.store.value(index_name(vectors))
        return Index.build(items) if kept is None else Index.view(np.asarray(kept))

    def history(self, value: Column, by: Column) -> History:
        key = (value.fingerprint, by.fingerprint)
        if key not in self._histories:
            with self._telling:
                if key not in self._histories:
                    self._histories[key] = value, by, self._history(value, by)
        return self._histories[key][2]

    def settle(self, columns: Sequence[Column]) -> None:
        """Makes every history that these columns read, all that will ever be asked for: what is observed is then
        told to those and kept nowhere else."""
        for column in upstream(tuple(columns)):
            if isinstance(column.node, Past):
                self.history(column.node.past_value, column.node.by)
        with self._telling:
            self._settled, self._observed = True, []

    def _history(self, value: Column, by: Column) -> History:
        if self._settled:
            raise RunError(f"past({self.name(value)}) was not among the columns that this context was settled for")
        event = event_of(by.grain)
        run = self.batch(event, self.data.seen[event])
        reference = run.value(by)
        made = History(reference.codes, run.value(event.time_column()), run.value(value), len(reference.names))
        for observed in self._observed:
            self._tell(value, by, made, *observed)
        return made

    def meet(self, event: type[Event], rows: Sequence[Mapping[str, Any]]) -> None:
        """Gives a code to keys that no table has: a new viewer has a past from the first event on."""
        with self._telling:
            self.known = {**self.known, **newcomers(event, rows, self.entities())}

    def observe(self, event: type[Event], table: Table) -> None:
        """Events that have happened: batches that begin from now on see them, in every history that reads them.

        A batch that has begun sees none of them: its histories stay of one length.
        """
        with self._telling:
            moment = self.moment + 1
            if not self._settled:
                self._observed.append((event, table, moment))
            for value, by, history in list(self._histories.values()):
                self._tell(value, by, history, event, table, moment)
            self.moment = moment

    def _tell(self, value: Column, by: Column, history: History, event: type[Event], table: Table, moment: int) -> None:
        """Adds observed events to a history, if it reads them."""
        if event_of(by.grain) is event:
            run = self.asked(event, table)
            history.observe(run.value(by).codes, run.value(event.time_column()), run.value(value), moment)

    def entities(self) -> dict[type[Entity], Vocabulary]:
        """The keys of every entity, with those that only events have named so far."""
        own = {r: t.keys for r, t in self.data.tables.items() if issubclass(r, Entity) and t.keys is not None}
        return {**own, **self.known}


def index_name(vectors: str) -> str:
    """What the index over item vectors is kept under, by what they are kept under themselves."""
    return digest(vectors, Index.builder())


def _by_row(node: Apply) -> list[str]:
    """The arguments that differ from row to row."""
    return [name for name, arg in node.args.items() if isinstance(arg, Column) and arg.grain]


class Batched(Run):
    """The values of columns for one batch of events (or, without one, of entities alone), each computed once.

    ends: when the requests' time is over, as time.monotonic() tells it; None: they wait as long as it takes.
    cores: how many its models may use.
    left: set when nobody waits for its late values any more.
    waited: seconds for which late values had to wait for their turn, which count towards their deadlines.
    keeping: whether costly rows that are computed now are kept in the store, and looked for there first.
    rehearsed: nobody has asked, so that no budget pays for it, nor grows by it. again: its requests are answered once
        more, and budgets have grown by them before.
    heard: called with (late column, row, text so far) while a text is being written, where somebody reads along.
    fell: what could not be had, why, and for which requests (None: all).
    spared: who has not asked its strong or late column by choice, and for which requests.
    """

    def __init__(self, context: Context, event: type[Event] | None, table: Table | None, rows: Array | None) -> None:
        self.context, self.event, self.table, self.taken = context, event, table, rows
        self.moment = context.moment
        self.runner = context.runner
        self.seconds: float | None = None
        self.ends: float | None = None
        self.cores = 1
        self.left: threading.Event | None = None
        self.heard: Callable[[Column, int, str], None] | None = None
        self.waited = 0.0
        self.keeping = False
        self.rehearsed = False
        self.again = False
        self.fell: list[tuple[Column, str, Array | None]] = []
        self.spared: list[tuple[Node, Column, Array]] = []
        self._whole: tuple[Batched, Array] | None = None
        self._values: dict[str, Any] = {}
        self._at: dict[tuple[str, int], tuple[Pairs, Any]] = {}

    def value(self, column: Column) -> Any:
        if column.node.asked_by is None:
            return self.context.shared(column)
        key = column.fingerprint
        if key not in self._values:
            known = self._known(key)
            self._values[key] = self._made(column) if known is None else known
        return self._values[key]

    def _made(self, column: Column) -> Any:
        node = column.node
        if self.keeping and isinstance(node, Apply) and node.model.costly and len(node.grain) == 1:
            return self.context.by_rows(column, node, self)
        return node.evaluate(self)

    def kept(self, column: Column) -> Any:
        before, self.keeping = self.keeping, True
        try:
            return self.value(column)
        finally:
            self.keeping = before

    def _known(self, key: str) -> Any:
        """What the batch that this one is a part of has computed already, of these rows."""
        if self._whole is None:
            return None
        whole, rows = self._whole
        value = whole._values.get(key)
        if isinstance(value, Pairs):
            return value.of(rows)
        return None if value is None or is_scores(value) else take(value, rows)

    def some(self, column: Column, rows: Array) -> Any:
        return self.part(rows, lambda part: part.tried(column))

    def part(self, rows: Array, read: Callable[[Batched], T]) -> T:
        """What is read of some of the asked requests by themselves; what is computed for all of them is not again."""
        part = Batched(self.context, self.event, self.table, rows if self.taken is None else self.taken[rows])
        part.moment, part.runner, part.cores = self.moment, self.runner, self.cores
        part.ends, part.left, part.waited = self.ends, self.left, self.waited
        part.rehearsed, part.again = self.rehearsed, self.again
        part._whole, part.keeping = (self, rows), self.keeping
        told = self.heard
        if told is not None:
            part.heard = lambda column, row, text: told(column, int(rows[row]), text)
        value = read(part)
        self.fell += [(column, problem, self._among(rows, of)) for column, problem, of in part.fell]
        self.spared += [(node, strong, self._among(rows, of)) for node, strong, of in part.spared]
        return value

    def _among(self, rows: Array, of: Array | None) -> Array:
        """Which of all requests some of a part's are, bool [n]."""
        found = np.zeros(self._asked(), np.bool_)
        found[rows if of is None else rows[of]] = True
        return found

    def granted(self, node: Node, ranks: Array, worth: Array, budget: float) -> Array:
        allowance = Allowance(1.0) if self.rehearsed else self.context.allowance(node, budget)
        return allowance.granted(ranks, worth, self.again)

    def spare(self, node: Node, strong: Column, rows: Array) -> None:
        self.spared.append((node, strong, rows))

    def at(self, column: Column, pairs: Pairs) -> Any:
        if column.node.asked_by is None:
            return take(self.value(column), pairs.items) if column.grain else self.value(column)
        if len(column.grain) == 1:
            return take(self.value(column), pairs.requests)
        key = (column.fingerprint, id(pairs))
        if key not in self._at:
            self._at[key] = pairs, column.node.evaluate_at(self, pairs)
        return self._at[key][1]

    def rows(self, grain: Grain) -> int:
        if event_of(grain) is not None:
            return self._asked()
        return max((len(self.context.data.tables[record]) for record in grain), default=1)

    def _asked(self) -> int:
        assert self.table is not None
        return len(self.table) if self.taken is None else len(self.taken)

    def field(self, record: Any, name: str) -> Any:
        assert self.table is not None
        column = self.table.columns[name]
        return column if self.taken is None else take(column, self.taken)

    def missing(self, kind: type[Column], grain: Grain, rows: int = 0) -> Any:
        event, item = event_of(grain), item_of(grain)
        if event is None or item is None:
            return nothing(kind, self.rows(grain) if grain else rows, ())
        return PerItem(np.full(self.rows(frozenset({item})), np.nan), self.rows(frozenset({event})))

    def history(self, value: Column, by: Column) -> History:
        return self.context.history(value, by).upto(self.moment)

    def index(self, items: Array) -> Index | Scan:
        return self.context.index(items)

    def state(self, fit: Fit) -> State:
        return self.context.states[fit.fingerprint]

    def apply(
        self, node: Apply, state: State, columns: Mapping[str, Any], rows: int, groups: Array | None = None
    ) -> Any:
        note = partial(self.context.note, node)  # of some rows: the model has answered all the same
        said = None if self.heard is None else partial(self.heard, Column(node))
        batch = Batch(columns, rows, groups, self.seconds, self.left, self.cores, note=note, said=said)
        made = self.runner.apply(node, state, batch)
        problems: Sequence[str | None] = getattr(made, "problems", ())
        for problem in filter(None, problems):
            note(problem)
        return made

    def in_time(self, column: Column, seconds: float, rows: Array | None = None) -> Any:
        for needed in column.node.inputs:
            self.value(needed)
        if rows is not None:
            return self.part(rows, lambda part: part.in_time(column, seconds))
        late, seconds = f"not there within {seconds:g} s", seconds - self.waited
        if self.ends is not None:
            seconds = min(seconds, self.ends - time.monotonic())
        self.seconds = seconds
        try:
            return self._by(column, lambda: self.value(column), seconds, late)
        finally:
            self.seconds = None

    def tried(self, column: Column, pairs: Pairs | None = None) -> Any:
        def work() -> Any:
            return self.value(column) if pairs is None else self.at(column, pairs)

        if self.ends is not None:
            return self._by(column, work, self.ends - time.monotonic(), "not there by the request's deadline")
        try:
            return work()
        except RunError as error:
            self.note(column, str(error))
            return None

    def _by(self, column: Column, work: Callable[[], Any], seconds: float, late: str) -> Any:
        """What the work gives, None where it fails or takes longer: it then goes on by itself, and nobody waits."""
        if seconds <= 0:
            self.note(column, late)
            return None
        made: Future[Any] = Future()

        def run() -> None:
            try:
                made.set_result(work())
            except BaseException as error:
                made.set_exception(error)

        # A thread of its own that no end of the process waits for: the work may never come back.
        threading.Thread(target=run, daemon=True).start()
        try:
            return made.result(timeout=seconds)
        except TimeoutError:
            self.note(column, late)
            return None
        except MotetError as error:
            self.note(column, str(error))
            return None

    def note(self, column: Column, problem: str, rows: Array | None = None) -> None:
        self.fell.append((column, problem, rows))
        self.context.note(column.node, problem)
