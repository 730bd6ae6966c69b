"""Machines of the tests' own, lines between them that can be cut, and a small disk that can be filled.

Whoever breaks much enters a network and a mount namespace first (`isolated`): the machine's own network and mounts are
not touched, and all of it is gone with the last process. Who is not root becomes it in a user namespace, where the
system allows that.

    isolated("tests.faults.soak", sys.argv[1:])     # re-executes the program in namespaces of its own
    within = machine("gateway")                     # what to put before a command to run it there
    line = Line("store", 2, to="gateway")           # 10.77.2.1 here, 10.77.2.2 in `gateway`
    line.cut(); line.mend()

A `Net` is a hub and machines around it, beside the machine's own network. It needs root, and removes what it made.

    with Net({"one": ["keys", "broker"], "two": ["keys", "broker"]}) as net:
        net.command("two", "ping", net.address("two", "keys"))
        net.cut("two", "keys")
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

_MARK = "GLOMSKA_FAULTS_ISOLATED"
_NAMES = Path("/run/netns")


class NoNamespaces(RuntimeError):
    """Namespaces may not be made here."""


def missing() -> str:
    """Why namespaces cannot be made here, as in a container without the right to; empty where they can."""
    tried = "mount -t tmpfs tmpfs /run && ip netns add trial && ip link add near type veth peer name far netns trial"
    done = subprocess.run([*_unshared(), "sh", "-c", tried], check=False, capture_output=True)
    return "" if done.returncode == 0 else done.stderr.decode(errors="replace").strip() or "unshare failed"


def isolated(module: str, arguments: Sequence[str]) -> None:
    """Return within namespaces of our own; outside of them the program is executed again. Raises NoNamespaces."""
    if os.environ.get(_MARK):
        _command("ip", "link", "set", "lo", "up")
        _command("mount", "-t", "tmpfs", "-o", "size=1m", "glomska-run", "/run")  # names of namespaces stand below it
        return
    inside = [*_unshared(), sys.executable, "-m", module, *arguments]
    os.execvpe(inside[0], inside, os.environ | {_MARK: "1"})  # noqa: S606 - our own program


def machine(name: str) -> list[str]:
    """Make a network namespace; what to put before a command to run it there. Raises NoNamespaces."""
    _command("ip", "netns", "add", name)
    _command("ip", "-n", name, "link", "set", "lo", "up")
    return ["nsenter", f"--net={_NAMES / name}", "--"]


class Line:
    """A cable to a machine, from here or from another one."""

    def __init__(self, name: str, number: int, *, to: str, at: str = "") -> None:
        """`number` 1 to 254 gives the addresses 10.77.NUMBER.1 at this end and .2 at the machine's."""
        self.here = f"10.77.{number}.1"
        self.there = f"10.77.{number}.2"
        self._near, self._at = f"{name}0", ("-n", at) if at else ()
        far = f"{name}1"
        _command("ip", *self._at, "link", "add", self._near, "type", "veth", "peer", "name", far, "netns", to)
        _command("ip", *self._at, "addr", "add", f"{self.here}/30", "dev", self._near)
        _command("ip", "-n", to, "addr", "add", f"{self.there}/30", "dev", far)
        _command("ip", "-n", to, "link", "set", far, "up")
        self.mend()

    def cut(self) -> None:
        """Nothing passes, and nobody is told; connections stay open and fall silent."""
        _command("ip", *self._at, "link", "set", self._near, "down")

    def mend(self) -> None:
        """Packets pass again."""
        _command("ip", *self._at, "link", "set", self._near, "up")


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
        with self._ballast.open("wb", buffering=0) as file:
            for size in (1 << 20, 4096):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def free(self) -> None:
        """As it was."""
        self._ballast.unlink(missing_ok=True)


class Net:
    """A hub and machines around it, in namespaces named after this process, removed at the end.

    Each line has a subnet of its own; the hub's end is what the machine calls that service.
    """

    def __init__(self, links: Mapping[str, Sequence[str]]) -> None:
        self._pairs = [(name, service) for name, services in links.items() for service in services]
        self._names = {name: f"glomska-{os.getpid()}-{name}" for name in ("hub", *links)}
        self._within: dict[str, list[str]] = {}
        self._lines: dict[tuple[str, str], Line] = {}

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            raise NoNamespaces("network namespaces need root: run this test as root")
        try:
            self._within = {name: machine(own) for name, own in self._names.items()}
            for number, (name, service) in enumerate(self._pairs, start=1):
                line = Line(f"line{number}-", number, to=self._names[name], at=self._names["hub"])
                self._lines[name, service] = line
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in self._names.values():
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)

    def address(self, name: str, service: str) -> str:
        """What a machine reaches a service of the hub by."""
        return self._lines[name, service].here

    def command(self, name: str, *words: str) -> list[str]:
        """A command as it runs on that machine."""
        return [*self._within[name], *words]

    def cut(self, name: str, service: str) -> None:
        """What is sent over this line is lost, in both directions, and nobody is told."""
        self._lines[name, service].cut()

    def mend(self, name: str, service: str) -> None:
        """It is as it was."""
        self._lines[name, service].mend()


def _unshared() -> list[str]:
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *user, "--net", "--mount"]


def _command(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoNamespaces(f"{' '.join(words[:3])}: {done.stderr.strip()}")
