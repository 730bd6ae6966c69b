"""`glomska controller exit` while somebody is owing, and an operator's word on them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from gateway.cli.main import call
from gateway.keystore import workers
from gateway.policy.load import load_policy
from tests.unit.control.test_dates import policy_file
from tests.unit.control.test_erasure import row_of_worker
from tests.world import CONTROLLER, World

THERE = "queues another-machine"


def test_the_certificate_waits_for_who_is_owing_or_declared_lost(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*words: str, code: int = 0) -> dict[str, Any]:
        assert call(["controller", *words]) == code
        printed = capsys.readouterr()
        found: dict[str, Any] = json.loads(printed.out) if "--json" in words else {"text": printed.out + printed.err}
        return found

    monkeypatch.setenv("GLOMSKA_STATE", str(world.directory))
    world.enrol("anna", "meter-1")
    with world.keystore.act() as tx:
        of = "another-machine then pid:[1] 1 1"
        workers.register(tx, row_of_worker(renewed=0, boot="then", generation=99, of=of))
    gone = said("exit", CONTROLLER, "--yes", "--json")
    assert (gone["keys"], gone["wrapping_keys"], gone["certificate"], gone["owing"]) == (3, 1, None, [THERE])
    text = said("exit", CONTROLLER, "--yes")["text"]
    assert f"the certificate waits until these are accounted for: {THERE}" in text
    assert "`glomska controller declare-lost`" in text
    unknown = said("declare-lost", CONTROLLER, "somebody", "--yes", code=2)["text"]
    assert "nobody of that name is owing in that exit" in unknown
    assert said("declare-lost", CONTROLLER, THERE, "--yes")["text"] == "noted\n"
    gone = said("exit", CONTROLLER, "--yes", "--json")
    assert gone["owing"] == []
    assert gone["certificate"].endswith("-exit.jws")
    lines = [json.loads(line) for line in world.ledger.path.read_text().splitlines()]
    assert [line["party"] for line in lines if line["act"] == "declare-lost" and "party" in line] == [THERE]


def test_what_laws_keep_ends_with_it_only_when_told_to_and_the_prompt_says_how_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    policy, asked = policy_file(tmp_path, hold="telemetry"), list[str]()

    def answer(text: str, **_: bool) -> str:
        asked.append(text)
        return CONTROLLER

    world = World(tmp_path / "state", policy=load_policy(policy))
    monkeypatch.setenv("GLOMSKA_STATE", str(world.directory))
    monkeypatch.setenv("GLOMSKA_POLICY", str(policy))
    world.enrol("anna", "meter-1")
    world.erase("anna")
    assert call(["controller", "exit", CONTROLLER, "--yes"]) == 5
    assert "1 of class telemetry" in (said := capsys.readouterr().err)
    assert "--ends-holds" in said
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(typer, "prompt", answer)
    assert call(["controller", "exit", CONTROLLER, "--ends-holds", "--json"]) == 0
    assert "what laws keep of erased customers ends now (1 of class telemetry)" in asked[0]
    assert json.loads(capsys.readouterr().out)["holds_ended"] == {"telemetry": 1}
    assert call(["controller", "exit", CONTROLLER, "--yes"]) == 0
    assert "legal holds ended with it, keys: 1 of class telemetry" in capsys.readouterr().out
    world.close()
