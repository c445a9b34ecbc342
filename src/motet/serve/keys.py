"""API keys: who may ask, where a file of keys says so."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from pathlib import Path

from motet.errors import RunError

SCHEME = b"bearer "
HELP = "Authorization: Bearer KEY, or X-API-Key: KEY"


class Keys:
    """Keys of which one has to be shown. Only their digests are held."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._digests = [_digest(key.encode()) for key in keys]

    @staticmethod
    def read(path: Path) -> Keys:
        """One key a line; empty lines and lines that begin with # say nothing. Errors: there are none."""
        try:
            lines = [line.strip() for line in path.read_text().splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(f"cannot read the keys in {path}: {error}", help="a text file with one key a line") from None
        found = [line for line in lines if line and not line.startswith("#")]
        if not found:
            raise RunError(
                f"there is no key in {path}", help="write one key a line, such as from: openssl rand -hex 32"
            )
        return Keys(found)

    def allow(self, headers: Sequence[tuple[bytes, bytes]]) -> bool:
        """Whether a request shows one of the keys. It takes equally long for every wrong one."""
        for name, value in headers:
            if name == b"authorization" and value[: len(SCHEME)].lower() == SCHEME:
                shown = value[len(SCHEME) :].strip()
            elif name == b"x-api-key":
                shown = value.strip()
            else:
                continue
            digest = _digest(shown)
            if sum([hmac.compare_digest(digest, known) for known in self._digests]):
                return True
        return False


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
