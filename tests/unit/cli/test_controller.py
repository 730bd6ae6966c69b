"""`glomska controller exit` while somebody is owing, and an operator's word on them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.cli.main import call
from gateway.keystore import workers
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
