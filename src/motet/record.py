"""Declared data: an Entity has a Key, an Event a Time, a plain Record is what a model fills in."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast, get_type_hints

from motet.apply import Pick
from motet.batch import take
from motet.column import Column, Key, Reference, Time
from motet.errors import FieldError, GraphError, listed
from motet.model import digest
from motet.node import Grain, Node, Run
from motet.span import seconds_of


@dataclass(frozen=True)
class Spec:
    """What a field's declaration says beyond its type.

    delay: seconds until an outcome is known. labels: the closed set that a Category or Tags comes from.
    """

    outcome: bool = False
    delay: float = 0.0
    labels: tuple[str, ...] = ()
    has_default: bool = False
    default: Any = None


def outcome(*, after: str | float = 0) -> Any:
    """Marks a field that is known only after the event; `after="7d"` says how long it takes to arrive."""
    return Spec(outcome=True, delay=seconds_of(after))


def labels(*names: str) -> Any:
    """The closed set of names that a Category or Tags field comes from."""
    if len(names) < 2 or len(set(names)) < len(names):
        raise GraphError(f"labels are two or more different names, not {names}", help='mt.labels("tense", "funny")')
    return Spec(labels=names)


def default(value: Any) -> Any:
    """What a field is when an ask or a row does not give it."""
    return Spec(has_default=True, default=value)


class _Names(type):
    """Says what exists when a field's name is mistyped."""

    if not TYPE_CHECKING:

        def __getattr__(cls, name: str) -> Any:
            raise _no_field(cls, name)


def _no_field(record: Any, name: str) -> FieldError:
    if name.startswith("__"):
        return FieldError(name)
    return FieldError(f"{record.__name__} has no field {name!r}", help=listed(record.fields, name))


class Record(metaclass=_Names):
    """Fields declared by annotation. Attributes of the class are the columns."""

    fields: ClassVar[Mapping[str, type]] = {}
    specs: ClassVar[Mapping[str, Spec]] = {}
    is_event: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        if cls.__module__ == __name__:
            return
        hints = _hints(cls)
        kinds = {name: hint for name, hint in hints.items() if _is_field(hint)}
        wrong = {n: h for n, h in hints.items() if n not in kinds and not _is_classvar(h) and n[0] != "_"}
        if wrong:
            name, hint = next(iter(wrong.items()))
            raise GraphError(
                f"{cls.__name__}.{name} is declared as {getattr(hint, '__name__', hint)}, which is no column type",
                help="use Key Text Number Flag Category Tags Time Vector Image, or an Entity that it refers to",
            )
        taken = [name for name in kinds if name in dir(Entity) or name in dir(Event)]
        if taken:
            raise GraphError(
                f"{cls.__name__}.{taken[0]} would hide what every record has under that name",
                help=f"call it another name, such as {cls.__name__.lower()}_{taken[0]}",
            )
        cls.fields = kinds
        cls.specs = {name: _spec(cls.__dict__.get(name)) for name in kinds}
        for name, kind in kinds.items():
            setattr(cls, name, _handle(cls, name, kind))
        cls.check()

    @classmethod
    def check(cls) -> None:
        """Refuses a declaration that cannot mean anything."""

    @classmethod
    def outcomes(cls) -> list[str]:
        return [f"{cls.__name__}.{name}" for name, spec in cls.specs.items() if spec.outcome]

    @classmethod
    def references(cls) -> dict[str, type[Entity]]:
        return {name: kind for name, kind in cls.fields.items() if issubclass(kind, Entity)}

    @classmethod
    def first_reference(cls) -> str | None:
        """The field that says whose it is: its first reference that is no outcome."""
        return next((name for name in cls.references() if not cls.specs[name].outcome), None)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise _no_field(type(self), name)


class Entity(Record):
    """Something that exists over time and has one Key: a film, a viewer, a card."""

    @classmethod
    def check(cls) -> None:
        keys = [name for name, kind in cls.fields.items() if kind is Key]
        if len(keys) != 1:
            raise GraphError(
                f"entity {cls.__name__} has {len(keys) or 'no'} Key{'s' if len(keys) > 1 else ''}",
                help=f"name it by exactly one: {cls.__name__.lower()}_id: mt.Key",
            )
        late = cls.outcomes()
        if late:
            raise GraphError(f"{late[0]} is an outcome, and only an event has outcomes", help="declare it in an Event")

    @classmethod
    def key_field(cls) -> str:
        return next(name for name, kind in cls.fields.items() if kind is Key)

    @classmethod
    def key_column(cls) -> Key:
        """The column of its keys."""
        return cast(Key, cls.__dict__[cls.key_field()])


class Event(Record):
    """Something that happens at one Time. A request is an event whose outcome is not known yet."""

    is_event: ClassVar[bool] = True

    @classmethod
    def check(cls) -> None:
        times = [name for name, kind in cls.fields.items() if kind is Time]
        if len(times) != 1 or cls.specs[times[0]].outcome:
            raise GraphError(
                f"event {cls.__name__} has {len(times) or 'no'} Time{'s' if len(times) > 1 else ''}"
                + (" that is known only afterwards" if len(times) == 1 else ""),
                help="say when it happens, once: at: mt.Time",
            )

    @classmethod
    def time_field(cls) -> str:
        return next(name for name, kind in cls.fields.items() if kind is Time)

    @classmethod
    def time_column(cls) -> Time:
        """The column of its times."""
        return cast(Time, cls.__dict__[cls.time_field()])

    @classmethod
    def happened(cls, entity: type[Entity]) -> Column:
        """The outcome that says which entity it was. Errors: there is none, or there are several."""
        names = [n for n, kind in cls.references().items() if kind is entity and cls.specs[n].outcome]
        if len(names) != 1:
            raise GraphError(
                f"{cls.__name__} does not say which {entity.__name__} it came to: it has {len(names)} such outcomes",
                help=f"declare exactly one: {entity.__name__.lower()}: {entity.__name__} = mt.outcome()",
            )
        return reference_of(cls.__dict__[names[0]])

    @classmethod
    def lookup(cls, column: Column) -> Column:
        """An entity's column as this event sees it: through its only reference to that entity.

        Left as it is where the event refers to the entity twice, or only by its outcome: then the entity's
        rows are candidates.
        """
        names = [name for name, kind in cls.references().items() if column.grain == frozenset({kind})]
        if len(names) != 1 or cls.specs[names[0]].outcome:
            return column
        return type(column).of(Through(reference_of(cls.__dict__[names[0]]), column))


def _hints(cls: type) -> dict[str, Any]:
    """The annotations of the class itself, names of enclosing functions included."""
    names: dict[str, Any] = {}
    frame: Any = sys._getframe(2)  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        names = {**frame.f_locals, **names}
        frame = frame.f_back if len(names) < 10_000 else None
    try:
        hints = get_type_hints(cls, localns=names)
    except NameError as error:
        raise GraphError(
            f"{cls.__name__} is declared with a type that does not exist: {error}",
            help="declare what it refers to above it",
        ) from None
    return {name: hints[name] for name in hints if name not in Record.__annotations__}


def _is_field(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, (Column, Entity)) and hint not in (Column, Reference)


def _is_classvar(hint: Any) -> bool:
    return getattr(hint, "__origin__", None) is ClassVar or hint is ClassVar


def _spec(declared: Any) -> Spec:
    if isinstance(declared, Spec):
        return declared
    if declared is None or isinstance(declared, (Column, Record)):
        return Spec()
    return Spec(has_default=True, default=declared)


@dataclass(frozen=True, eq=False)
class Field(Node):
    """A declared field: read from the data."""

    record: Any
    name: str

    @cached_property
    def grain(self) -> Grain:
        return frozenset({self.record})

    @cached_property
    def after(self) -> frozenset[Any]:
        return frozenset({self.record}) if self.record.specs[self.name].outcome else frozenset()

    @cached_property
    def among(self) -> frozenset[Column]:
        return frozenset()

    def config(self) -> str:
        spec: Spec = self.record.specs[self.name]
        declared = f"{spec.outcome} {spec.delay} {spec.labels}"
        return f"{self.record.__name__}.{self.name}:{self.record.fields[self.name].__name__} {declared}"

    def label(self) -> str:
        return f"{self.record.__name__}.{self.name}"

    def evaluate(self, run: Run) -> Any:
        return run.field(self.record, self.name)


@dataclass(frozen=True, eq=False)
class Through(Node):
    """A column of an entity, looked up through a reference to it."""

    reference: Column
    looked_up: Column

    @property
    def inputs(self) -> tuple[Column, ...]:
        return (self.reference, self.looked_up)

    @cached_property
    def grain(self) -> Grain:
        return self.reference.grain

    def label(self) -> str:
        return f"{self.reference.node.label()}.{self.looked_up.node.label().split('.', 1)[-1]}"

    def evaluate(self, run: Run) -> Any:
        return take(run.value(self.looked_up), run.value(self.reference).codes)


R = TypeVar("R", bound=Record)


def _handle(record: Any, name: str, kind: type) -> Any:
    """What `Record.name` is: a column, or for a reference a handle to read columns through."""
    node = Field(record, name)
    return _reference(Reference(node), kind) if issubclass(kind, Entity) else cast(Any, kind)(node)


def _reference(column: Reference, entity: type[Entity]) -> Entity:
    handle = object.__new__(entity)
    held = vars(handle)
    held["_reference"] = column
    for name, kind in entity.fields.items():
        through = Through(column, _own(entity, name))
        value = _reference(Reference(through), kind) if issubclass(kind, Entity) else cast(Any, kind)(through)
        held[name] = value
    return handle


def _own(entity: type[Entity], name: str) -> Column:
    value = entity.__dict__[name]
    return value if isinstance(value, Column) else value.__dict__["_reference"]


def reference_of(handle: object) -> Reference:
    """The reference column behind a handle such as Visit.viewer. Errors: it is no reference."""
    column = handle.__dict__.get("_reference") if isinstance(handle, Record) else None
    if not isinstance(column, Reference):
        raise GraphError(
            f"{handle!r} is no reference", help="give a field whose type is an Entity, such as Visit.viewer"
        )
    return column


def entity_of(reference: Column) -> type[Entity]:
    """The entity that a reference column points at."""
    node = reference.node
    if isinstance(node, Field):
        return node.record.fields[node.name]
    if isinstance(node, Through):
        return entity_of(node.looked_up)
    raise GraphError(
        f"{reference!r} is no reference", help="give a field whose type is an Entity, such as Visit.viewer"
    )


def filled(record: type[R], made: Column) -> R:
    """A record whose fields are columns that one model call fills in."""
    handle = object.__new__(record)
    held = vars(handle)
    for name, kind in record.fields.items():
        if issubclass(kind, Entity):
            raise GraphError(
                f"{record.__name__}.{name} refers to an entity, which a model cannot fill in",
                help="use Category or Text",
            )
        held[name] = cast(Any, kind).of(Pick(made, name))
    return handle


def looked_up(column: Column, reference: Record) -> Column:
    """A column of an entity, read through a reference: looked_up(embed(Viewer.bio), Visit.viewer)."""
    return type(column).of(Through(reference_of(reference), column))


def fields_digest(record: type[Record]) -> str:
    return digest(record.__name__, *(f"{name}:{kind.__name__}" for name, kind in record.fields.items()))
