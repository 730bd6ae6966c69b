"""Namespaces of our own: lines between machines that can be cut, and a small disk that can be filled.

Everything happens in a network and a mount namespace that this process entered first (`isolated`); the machine's own
network and mounts are not touched, and all of it is gone with the last process. Who is not root becomes it in a user
namespace, where the system allows that.

    isolated()                                   # re-executes the program in namespaces of its own
    with Line("store", 2, to="gateway") as line: # 10.77.2.1 here, 10.77.2.2 in the namespace `gateway`
        line.cut(); line.mend()
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_MARK = "GLOMSKA_FAULTS_ISOLATED"
_NAMES = Path("/run/netns")


class NoNamespaces(RuntimeError):
    """Namespaces may not be made here."""


def isolated(module: str, arguments: Sequence[str]) -> None:
    """Return within namespaces of our own; outside of them the program is executed again. Raises NoNamespaces."""
    if os.environ.get(_MARK):
        _command("ip", "link", "set", "lo", "up")
        _command("mount", "-t", "tmpfs", "-o", "size=1m", "glomska-run", "/run")  # names of namespaces stand below it
        return
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    inside = ["unshare", *user, "--net", "--mount", sys.executable, "-m", module, *arguments]
    os.execvpe(inside[0], inside, os.environ | {_MARK: "1"})  # noqa: S606 - our own program


def machine(name: str) -> list[str]:
    """Make a network namespace; what to put before a command to run it there."""
    _command("ip", "netns", "add", name)
    _command("ip", "-n", name, "link", "set", "lo", "up")
    return ["nsenter", f"--net={_NAMES / name}", "--"]


class Line:
    """A cable between here and a machine."""

    def __init__(self, name: str, number: int, *, to: str) -> None:
        """`number` 1 to 254 gives the addresses 10.77.NUMBER.1, here, and .2, there."""
        self.name = name
        self.here = f"10.77.{number}.1"
        self.there = f"10.77.{number}.2"
        _command("ip", "link", "add", f"{name}0", "type", "veth", "peer", "name", f"{name}1", "netns", to)
        _command("ip", "addr", "add", f"{self.here}/30", "dev", f"{name}0")
        _command("ip", "-n", to, "addr", "add", f"{self.there}/30", "dev", f"{name}1")
        _command("ip", "-n", to, "link", "set", f"{name}1", "up")
        self.mend()

    def cut(self) -> None:
        """Nothing passes; connections stay open and fall silent."""
        _command("ip", "link", "set", f"{self.name}0", "down")

    def mend(self) -> None:
        """Packets pass again."""
        _command("ip", "link", "set", f"{self.name}0", "up")


class Disk:
    """A file system in memory, of so many MiB, that can be filled."""

    def __init__(self, path: Path, megabytes: int) -> None:
        path.mkdir()
        _command("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "glomska-disk", str(path))
        self._path = path
        self._ballast = path / "ballast"

    def remove(self) -> None:
        """With all that is on it, once its last user has ended."""
        _command("umount", "--lazy", str(self._path))

    def fill(self) -> None:
        """Not a byte is left."""
        with self._ballast.open("wb") as file:
            try:
                while True:
                    file.write(bytes(1 << 20))
                    file.flush()
            except OSError:
                pass
            try:
                while True:
                    os.write(file.fileno(), bytes(4096))
            except OSError:
                return

    def free(self) -> None:
        """As it was."""
        self._ballast.unlink(missing_ok=True)


def _command(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoNamespaces(f"{' '.join(words[:3])}: {done.stderr.strip()}")
