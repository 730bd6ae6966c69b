"""What a process and its machine are called, and when it is certain that it has ended."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.keys import process


def renamed(patch: pytest.MonkeyPatch, name: str) -> None:
    patch.setattr(os, "uname", lambda: SimpleNamespace(nodename=name))


def test_machines_of_one_image_are_told_apart_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    renamed(monkeypatch, "one")
    one, worker = process.machine(), process.own()
    renamed(monkeypatch, "two")
    assert process.machine() != one
    assert not process.has_restarted(worker.replace(process.boot_id(), "then"), "then"), "it may be alive there"
    assert not process.is_gone(worker.replace(process.boot_id(), "then"), "then")
    renamed(monkeypatch, "one")
    assert process.machine() == one
    assert process.has_restarted(worker.replace(process.boot_id(), "then"), "then")


def test_neither_machine_id_nor_name_is_told() -> None:
    told = process.machine()
    assert len(bytes.fromhex(told)) == 16
    machine_id = Path("/etc/machine-id")
    assert os.uname().nodename not in told
    assert not machine_id.exists() or machine_id.read_text().strip() not in {told, ""}


def test_a_process_has_ended_when_it_has_and_not_before() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        name = process.own(str(child.pid))
        assert process.machine_of(name) == process.machine()
        assert not process.is_gone(name, process.boot_id())
        child.communicate(b"\n")
    assert process.is_gone(name, process.boot_id())
