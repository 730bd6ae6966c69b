"""What numbers in stored readings mean, remembered, so that no policy ever reads them as others.

A stored value is a number of steps: of which quantity, in which unit and how large the policy says, under its `schema`.
What a policy says of each of its quantities is noted before the first reading is written under it, for each schema, in
`STATE/policy.accepted.json`. Who then loads a policy that says something else is refused: its way out is a new schema
number, since values of another do not open. Where there is no such file yet, any policy is right, and is noted.

    accepted = Accepted(state)
    policy = accepted.load(path)      # raises PolicyFault where it would misread what was stored
    accepted.note(policy)             # before readings are written under it
    accepted.hand_on()                # what was loaded: workers under a supervisor begin with it,
    accepted.handed_on()              # also one that is started again, whatever the file says by then
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gateway.disk import sync_directory
from gateway.errors import ConfigurationFault, PolicyFault, Unreachable
from gateway.policy.document import read_toml
from gateway.policy.load import MEANING, meanings, misread, parse_policy
from gateway.policy.rules import Policy

NAME = "policy.accepted.json"
_FORMAT = 1
_WRITABLE = "see owner, mode and free space of the state directory"


class Accepted:
    """One state directory's; the file in it is read when it is asked for, since others write it, too."""

    def __init__(self, state: Path) -> None:
        self._file = state / NAME
        self._loaded: dict[str, Any] | None = None

    def load(self, path: Path) -> Policy:
        """The policy at `path`. Raises PolicyFault with every fault, and what `judge` raises."""
        document = read_toml(path, PolicyFault)
        policy = parse_policy(document, str(path))
        self.judge(policy, path)
        self._loaded = document
        return policy

    def judge(self, policy: Policy, path: Path) -> None:
        """Raises PolicyFault where it would misread what is stored; ConfigurationFault, Unreachable."""
        if changed := misread(_meant(self._read(), policy.schema), policy):
            raise PolicyFault(
                "\n".join(f"{path}: {one}" for one in changed),
                hint="give the policy a new schema number, or put these back",
            )

    def note(self, policy: Policy) -> None:
        """Readings are written under it from here on. Raises ConfigurationFault, Unreachable."""

        def add(kept: dict[str, Any]) -> None:
            known = _meant(kept, policy.schema)
            kept["meanings"][str(policy.schema)] = {
                str(n): one for n, one in sorted((meanings(policy) | known).items())
            }

        self._change(add)

    def take_up(self, policy: Policy) -> None:
        """Both, of what was loaded last."""
        self.note(policy)
        self.hand_on()

    def hand_on(self) -> None:
        """Workers begin with what was loaded last. Raises ConfigurationFault, Unreachable."""
        loaded = self._loaded
        if loaded is not None:
            self._change(lambda kept: kept.update(policy=loaded))

    def handed_on(self) -> Policy | None:
        """What workers begin with, if anybody said so. Raises PolicyFault, ConfigurationFault, Unreachable."""
        document = self._read()["policy"]
        if document is None:
            return None
        policy = parse_policy(document, str(self._file))
        self.judge(policy, self._file)
        return policy

    def _change(self, change: Callable[[dict[str, Any]], None]) -> None:
        with self._alone():
            kept = self._read()
            before = json.dumps(kept)
            change(kept)
            if (text := json.dumps(kept)) != before:
                self._write(text.encode())

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Workers that reload at once each keep what the others noted."""
        with _faults("remembered"):
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            directory = os.open(self._file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield
        finally:
            os.close(directory)

    def _read(self) -> dict[str, Any]:
        try:
            with _faults("read"):
                kept = json.loads(self._file.read_bytes())
            if kept["format"] == _FORMAT and "policy" in kept and all(_meant(kept, int(s)) for s in kept["meanings"]):
                return dict(kept)
        except FileNotFoundError:
            return {"format": _FORMAT, "policy": None, "meanings": {}}
        except (ValueError, KeyError, TypeError, AttributeError):
            pass
        raise ConfigurationFault(
            f"{self._file}: what stored readings mean is not told by it: it is damaged, or of a newer version",
            hint="put a copy of it back; remove it only if the policy says what it said when all of them were stored",
        )

    def _write(self, text: bytes) -> None:
        """Durable when it returns."""
        new = self._file.with_suffix(".new")
        with _faults("remembered"):
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._file)
            sync_directory(self._file.parent)


def _meant(kept: dict[str, Any], schema: int) -> dict[int, dict[str, Any]]:
    """By number."""
    found = kept["meanings"].get(str(schema), {})
    return {int(number): {key: one[key] for key in MEANING} for number, one in found.items()}


@contextlib.contextmanager
def _faults(done: str) -> Iterator[None]:
    """Raises Unreachable; that there is no such file is no fault."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as fault:
        message = f"what stored readings mean cannot be {done}: {fault.strerror}"
        raise Unreachable(message, hint=_WRITABLE) from None
