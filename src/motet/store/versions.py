"""Versions: what a graph's readers see. A new one appears whole, at once; the one before stays."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import filelock

from motet.errors import RunError
from motet.store import durable


@dataclass(frozen=True)
class Version:
    """What was published. when: seconds since 1970, UTC. before: the number that was current until then."""

    number: int
    when: float
    current: bool
    before: int | None
    manifest: Mapping[str, Any]


class Versions:
    """The versions of one graph, oldest first, and a file CURRENT that names one of them."""

    def __init__(self, root: Path, graph: str) -> None:
        self.root, self.graph, self.folder = root, graph, root / quote(graph, safe="")

    def publish(self, manifest: Mapping[str, Any]) -> int:
        with locked(self.root):
            number = max(self.numbers(), default=0) + 1
            record = {"when": time.time(), "before": self._now() or self._newest(), "manifest": dict(manifest)}
            _write(self.folder / f"{number}.json", record)
            _write(self.folder / "CURRENT", number)
            return number

    def rollback(self) -> int:
        """Makes the version current that was so before the current one; the newest whole one where that is damaged, or
        nothing says which it is."""
        if not self.numbers():
            raise self._no_way_back("nothing is published")
        with locked(self.root):
            whole, now = {version.number: version for version in self.all()}, self._now()
            before = whole[now].before if now in whole else self._newest(now)
            if before not in whole:
                raise self._no_way_back(f"version {now} is current" if now else "every version is damaged")
            _write(self.folder / "CURRENT", before)
            return before

    def _no_way_back(self, why: str) -> RunError:
        return RunError(
            f"graph {self.graph!r} has no version to go back to: {why}",
            help="every prepare() publishes a version; one must come before the current one",
        )

    def all(self) -> list[Version]:
        """Those that can be read."""
        found: list[Version] = []
        for number in self.numbers():
            with suppress(RunError):
                found.append(self.read(number))
        return found

    def damaged(self) -> list[int]:
        """The numbers of those that cannot be read."""
        return sorted(set(self.numbers()) - {version.number for version in self.all()})

    def read(self, number: int) -> Version:
        path = self.folder / f"{number}.json"
        help = f"motet prepare FILE.py:{self.graph} publishes another; motet rollback goes back to one that is whole"
        try:
            record = _read(path, help)
            return Version(number, record["when"], number == self._now(), record["before"], record["manifest"])
        except FileNotFoundError:
            what = f"there is no version {number} of graph {self.graph!r} in {self.folder}"
            raise RunError(what, help=f"there are: {', '.join(map(str, self.numbers())) or 'none'}") from None
        except (KeyError, TypeError) as error:
            raise durable.damaged(path, "something else wrote into it", help) from error

    def numbers(self) -> list[int]:
        return sorted(int(path.stem) for path in self.folder.glob("*.json"))

    def pointed(self) -> int | None:
        """The current version, None where none was made so. Errors: the file that says which is damaged."""
        path, help = self.folder / "CURRENT", f"motet rollback FILE.py:{self.graph} points at the newest whole version"
        try:
            number = _read(path, help)
        except FileNotFoundError:
            return None
        if not isinstance(number, int):
            raise durable.damaged(path, f"{number!r} is no version", help)
        return number

    def _now(self) -> int | None:
        """The current version, None where nothing that can be read says which it is."""
        try:
            return self.pointed()
        except RunError:
            return None

    def _newest(self, below: int | None = None) -> int | None:
        """The newest version that can be read. below: of those before that one."""
        return max((v.number for v in self.all() if below is None or v.number < below), default=None)

    def kept(self, keep: int) -> list[Version]:
        """The newest, the current one and the one that a rollback would go to."""
        versions = self.all()
        spared = {version.number for version in versions[max(len(versions) - keep, 0) :]}
        for version in versions:
            if version.current:
                spared |= {version.number, version.before or version.number}
        return [version for version in versions if version.number in spared]

    def superseded(self, keep: int) -> list[Version]:
        """All others: nobody can come back to them."""
        kept = {version.number for version in self.kept(keep)}
        return [version for version in self.all() if version.number not in kept]

    def keep_report(self, number: int, name: str, report: Mapping[str, Any]) -> None:
        """Errors: the version is gone."""
        self.read(number)
        durable.folder(self._reports(number))
        _write(self._reports(number) / f"{name}.json", {"when": time.time(), "report": dict(report)})

    def report(self, number: int, name: str) -> dict[str, Any] | None:
        """What is kept of it: `report`, and `when` it was, in seconds since 1970, UTC."""
        try:
            return _read(self._reports(number) / f"{name}.json", "measure it again: motet returns ... --keep")
        except FileNotFoundError:
            return None

    def forget(self, number: int) -> None:
        (self.folder / f"{number}.json").unlink()
        shutil.rmtree(self._reports(number), ignore_errors=True)

    def _reports(self, number: int) -> Path:
        return self.folder / str(number)


@contextmanager
def locked(root: Path) -> Generator[None]:
    """While versions of any graph are changed; what is published meanwhile waits."""
    with durable.refused(root):
        durable.folder(root)
        lock = filelock.FileLock(root / ".lock")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _write(path: Path, content: Any) -> None:
    text = json.dumps(content, indent=1)
    durable.write(path, lambda file: file.write(text.encode()))


def _read(path: Path, help: str) -> Any:
    """Errors: it is damaged, and what to do then."""
    text = path.read_bytes()
    try:
        return json.loads(text)
    except ValueError as error:
        raise durable.damaged(path, str(error), help) from error
