"""SoftHSM tokens of the tests' own, in a directory of their own. Programs come from Debian's `softhsm2`.

    with SoftHsm() as hsm:
        label = hsm.token()                         # a new one, with hsm.pin
        TokenCustodian(hsm.module, label, hsm.pin)

The library reads where its tokens are when it begins, so one process has one directory at a time.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
PIN = b"kod: 123456"
OFFICER = "officer: 567890"
_VARIABLE = "SOFTHSM2_CONF"


class SoftHsm:
    """One directory of tokens."""

    module = MODULE
    pin = PIN

    def __init__(self) -> None:
        self._labels = (f"glomska-{n}" for n in itertools.count())
        self._places: dict[str, Path] = {}

    def __enter__(self) -> Self:
        if not Path(MODULE).exists():
            raise RuntimeError("SoftHSM is missing: .ci/debian softhsm2")
        self.directory = Path(tempfile.mkdtemp(prefix="softhsm-"))
        self.tokens = self.directory / "tokens"
        self.tokens.mkdir()
        config = self.directory / "softhsm2.conf"
        config.write_text(f"directories.tokendir = {self.tokens}\nlog.level = ERROR\n")
        self._before = os.environ.get(_VARIABLE)
        os.environ[_VARIABLE] = str(config)
        return self

    def __exit__(self, *_: object) -> None:
        os.environ.pop(_VARIABLE)
        if self._before is not None:
            os.environ[_VARIABLE] = self._before
        shutil.rmtree(self.directory)

    def token(self) -> str:
        """A new token's label."""
        label = next(self._labels)
        before = set(self.tokens.iterdir())
        command = ["softhsm2-util", "--init-token", "--free", "--label", label]
        subprocess.run([*command, "--pin", PIN.decode(), "--so-pin", OFFICER], check=True, capture_output=True)
        (self._places[label],) = set(self.tokens.iterdir()) - before
        return label

    def place(self, label: str) -> Path:
        """The directory that this token is kept in."""
        return self._places[label]

    def pull(self, label: str) -> None:
        """Take a token away."""
        self._places[label].rename(self.directory / label)

    def plug(self, label: str) -> None:
        """Put it back."""
        (self.directory / label).rename(self._places[label])

    def image(self, label: str) -> bytes:
        """Every byte that the token's files hold."""
        return b"".join(path.read_bytes() for path in sorted(self._places[label].iterdir()))


def objects(image: bytes) -> int:
    """Keys and marks of ours in an image; their labels are in the clear in it."""
    return len(set(re.findall(rb"glomska-(?:w|mark)-[0-9a-f-]+", image)))
