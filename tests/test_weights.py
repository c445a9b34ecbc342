from __future__ import annotations

import functools
import hashlib
import http.server
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from motet import weights
from motet.errors import RunError

NAME = "movielens-100k/films"  # in the smallest package: 2 MB
FETCH = f"from motet import weights; print(weights.path({NAME!r}))"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and none of the settings that whoever runs the tests may have."""
    for setting in [name for name in os.environ if name == "MOTET_INDEX" or name.startswith("MOTET_FILE_")]:
        monkeypatch.delenv(setting)
    monkeypatch.setenv("MOTET_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real package, from the registry."""
    into = tmp_path_factory.mktemp("wheels")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        f"--dest={into}",
        "recbole==1.2.1",
    ]
    subprocess.run(pip, check=True)
    return next(into.glob("*.whl"))


def asset(name: str = NAME) -> weights.Asset:
    return next(each for each in weights.catalogue() if each.name == name)


def kept(home: Path) -> list[str]:
    return sorted(file.name for file in (home / "files").rglob("*") if file.is_file())


def left(home: Path) -> list[Path]:
    return list((home / "incoming").iterdir())


def tampered(wheel: Path, folder: Path) -> Path:
    """The same wheel with one byte of one member changed."""
    folder.mkdir()
    copy = folder / wheel.name
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(copy, "w", zipfile.ZIP_DEFLATED) as target:
        for member in source.namelist():
            content = source.read(member)
            target.writestr(
                member, content.replace(b"Toy Story", b"Toy Stork") if member == asset().member else content
            )
    return folder


@pytest.mark.parametrize("name", ["smollm2-135m", "minilm-l6/tokenizer", "minilm-l6/int8", NAME])
def test_a_file_is_fetched_verified_and_kept(name: str, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = weights.path(name)
    told = capfd.readouterr().err

    assert hashlib.sha256(file.read_bytes()).hexdigest() == asset(name).sha256 == weights.sha256(name)
    assert file.stat().st_size == asset(name).bytes
    assert file.is_relative_to(home)
    assert name in told
    assert asset(name).licence in told
    assert left(home) == []

    assert weights.path(name) == file
    assert capfd.readouterr().err == "", "nothing is fetched twice"


def test_one_download_brings_every_file_of_its_package(
    home: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTET_INDEX", str(wheel.parent))
    weights.path(NAME)
    assert kept(home) == ["ml-100k.inter", "ml-100k.item", "ml-100k.user"]


def test_a_kept_file_cannot_be_changed_by_accident_and_a_harmed_one_is_fetched_again(
    wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTET_INDEX", str(wheel.parent))
    file = weights.path(NAME)
    assert file.stat().st_mode & 0o222 == 0
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:100])
    assert weights.path(NAME).stat().st_size == asset().bytes


def test_an_unknown_name_lists_what_exists() -> None:
    with pytest.raises(RunError, match=r"did you mean 'smollm2-135m'.*minilm-l6/int8"):
        weights.path("smolm2-135m")


def test_another_content_is_refused(home: Path, wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = tampered(wheel, tmp_path / "mirror")
    monkeypatch.setenv("MOTET_INDEX", str(mirror))
    with pytest.raises(RunError) as refused:
        weights.path(NAME)
    said = str(refused.value)
    assert f"expected sha256 {asset().sha256}" in said
    assert re.search(r"got +[0-9a-f]{64}", said)
    assert asset().member in said
    assert str(mirror) in said
    assert "ml-100k.item" not in kept(home)
    assert left(home) == []


def test_a_wheel_that_is_cut_short_or_lacks_the_file_is_refused(
    home: Path, wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = tmp_path / "without"
    without.mkdir()
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(without / wheel.name, "w") as target:
        for member in source.namelist():
            if member != asset().member:
                target.writestr(member, source.read(member))
    cut = tmp_path / "cut"
    cut.mkdir()
    (cut / wheel.name).write_bytes(wheel.read_bytes()[:500_000])
    for mirror in (without, cut):
        monkeypatch.setenv("MOTET_INDEX", str(mirror))
        with pytest.raises(RunError, match=r"recbole(==|-)1\.2\.1"):
            weights.path(NAME)
        assert "ml-100k.item" not in kept(home)


def test_no_index_says_what_to_do(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("MOTET_INDEX", str(empty))
    with pytest.raises(RunError, match=r"recbole==1\.2\.1(.|\n)*help: .*MOTET_INDEX.*MOTET_FILE_MOVIELENS_100K_FILMS"):
        weights.path(NAME)
    assert left(home) == []


def test_an_index_that_is_down_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTET_INDEX", "http://someone:secret@127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(RunError, match="refused") as refused:
        weights.path(NAME)
    assert "secret" not in str(refused.value)


def test_a_home_that_cannot_be_written_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("MOTET_HOME", str(tmp_path / "file"))
    with pytest.raises(RunError, match="help: MOTET_HOME="):
        weights.path(NAME)


class TestALocalFile:
    setting = "MOTET_FILE_MOVIELENS_100K_FILMS"

    def test_of_the_same_content_is_used_where_it_lies(
        self, home: Path, wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        own = tmp_path / "own.item"
        with zipfile.ZipFile(wheel) as archive:
            own.write_bytes(archive.read(asset().member))
        monkeypatch.setenv(self.setting, str(own))
        assert weights.path(NAME) == own
        assert not home.exists(), "nothing is fetched"

    def test_of_another_content_needs_the_users_word(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        own = tmp_path / "own.item"
        own.write_text("mine")
        digest = hashlib.sha256(b"mine").hexdigest()
        monkeypatch.setenv(self.setting, str(own))
        with pytest.raises(RunError, match=f"(.|\n)*got +{digest}(.|\n)*#any"):
            weights.path(NAME)
        for accepted in ("#any", f"#sha256={digest}"):
            monkeypatch.setenv(self.setting, f"{own}{accepted}")
            assert weights.path(NAME) == own
            assert weights.sha256(NAME) == digest, "what is made from it must not pass for the original's"
        monkeypatch.setenv(self.setting, f"{own}#sha256={'0' * 64}")
        with pytest.raises(RunError, match="expected 0000"):
            weights.path(NAME)

    def test_that_is_changed_is_checked_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        own = tmp_path / "own.item"
        own.write_text("mine")
        monkeypatch.setenv(self.setting, f"{own}#any")
        before = weights.sha256(NAME)
        own.write_text("changed")
        assert weights.sha256(NAME) != before

    def test_that_is_missing_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(self.setting, "/nowhere/own.item")
        with pytest.raises(RunError, match=r"/nowhere/own\.item, which is not a file"):
            weights.path(NAME)


def test_two_processes_at_once_download_once_and_agree(home: Path, wheel: Path) -> None:
    told = os.environ | {"MOTET_INDEX": str(wheel.parent)}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", FETCH], env=told, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert len({out for out, _ in said}) == 1
    assert sorted("fetching" in err for _, err in said) == [False, True]
    assert left(home) == []


class _Stalling(http.server.SimpleHTTPRequestHandler):
    """A package index that sends the first half of a wheel, then nothing."""

    halfway = threading.Event()
    over = threading.Event()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def copyfile(self, source, outputfile) -> None:  # pyright: ignore[reportMissingParameterType]
        if not self.path.endswith(".whl"):
            return super().copyfile(source, outputfile)
        outputfile.write(source.read(1_000_000))
        self.halfway.set()
        self.over.wait(60)
        self.close_connection = True


@pytest.fixture
def stalling(wheel: Path, tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "index" / "recbole"
    folder.mkdir(parents=True)
    shutil.copy(wheel, folder)
    (folder / "index.html").write_text(f'<!DOCTYPE html><a href="{wheel.name}">{wheel.name}</a>')
    handler = functools.partial(_Stalling, directory=str(tmp_path / "index"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        _Stalling.over.set()
        server.shutdown()


def test_a_fetch_killed_in_the_middle_leaves_nothing_that_passes_for_whole(
    home: Path, wheel: Path, stalling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = os.environ | {"MOTET_INDEX": stalling, "PIP_NO_CACHE_DIR": "1"}
    process = subprocess.Popen([sys.executable, "-c", FETCH], env=told, stderr=subprocess.PIPE, start_new_session=True)
    assert _Stalling.halfway.wait(60), "the download never began"
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()

    assert left(home) != [], "it was killed in the middle of the download"
    assert not (home / "files").exists()

    monkeypatch.setenv("MOTET_INDEX", str(wheel.parent))
    assert weights.path(NAME).stat().st_size == asset().bytes
    assert left(home) == []
