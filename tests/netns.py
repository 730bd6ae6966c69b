"""Machines of the tests' own: network namespaces joined to a hub by links that can be cut. Needs root.

    with Net({"one": ["keys", "broker"], "two": ["keys", "broker"]}) as net:
        net.command("two", "ping", net.address("two", "keys"))
        net.cut("two", "keys")

Each link is a pair of interfaces with a subnet of its own; the hub's end is what the machine calls that service.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Self


def missing() -> str:
    """Why namespaces cannot be made here, as in a container without the right to; empty where they can."""
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    tried = "mount -t tmpfs tmpfs /run && ip netns add trial && ip link add near type veth peer name far netns trial"
    done = subprocess.run(["unshare", *user, "--net", "--mount", "sh", "-c", tried], check=False, capture_output=True)
    return "" if done.returncode == 0 else done.stderr.decode(errors="replace").strip() or "unshare failed"


class Net:
    """A hub and machines around it, in namespaces named after this process, removed at the end."""

    def __init__(self, links: Mapping[str, Sequence[str]]) -> None:
        pairs = [(machine, service) for machine, services in links.items() for service in services]
        self._numbers = {pair: number for number, pair in enumerate(pairs, start=1)}
        self._names = {name: f"glomska-{os.getpid()}-{name}" for name in ("hub", *links)}

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            raise RuntimeError("network namespaces need root: run this test as root")
        try:
            for name in self._names.values():
                _ip("netns", "add", name)
                _ip("-n", name, "link", "set", "lo", "up")
            for (machine, _service), number in self._numbers.items():
                near, far = self._ends(number)
                _ip("link", "add", near, "netns", self._names["hub"], "type", "veth",
                    "peer", "name", far, "netns", self._names[machine])  # fmt: skip
                for name, end, host in ((self._names["hub"], near, 1), (self._names[machine], far, 2)):
                    _ip("-n", name, "address", "add", f"10.77.{number}.{host}/24", "dev", end)
                    _ip("-n", name, "link", "set", end, "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in self._names.values():
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)

    def address(self, machine: str, service: str) -> str:
        """What a machine reaches a service of the hub by."""
        return f"10.77.{self._numbers[machine, service]}.1"

    def command(self, machine: str, *words: str) -> list[str]:
        """A command as it runs on that machine."""
        return ["ip", "netns", "exec", self._names[machine], *words]

    def cut(self, machine: str, service: str) -> None:
        """What is sent over this link is lost, in both directions, and nobody is told."""
        _ip("-n", self._names["hub"], "link", "set", self._ends(self._numbers[machine, service])[0], "down")

    def mend(self, machine: str, service: str) -> None:
        """It is as it was."""
        _ip("-n", self._names["hub"], "link", "set", self._ends(self._numbers[machine, service])[0], "up")

    @staticmethod
    def _ends(number: int) -> tuple[str, str]:
        return f"near{number}", f"far{number}"


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")
