"""A line that somebody without a key added to the ledger stops everything, and is not done; a way on is told."""

from __future__ import annotations

import json

from gateway.control.chain import Value, chained
from tests.cli.conftest import Home
from tests.unit.control.test_signed_ledger import rechained

READ = "echo demo/anna | glomska read - --purpose support --from -7d --json"


def test_an_exit_that_nobody_signed_is_disowned(home: Home) -> None:
    before = home.shell(READ)
    file = home.directory / "state" / "ledger" / "ledger.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    last = lines[-1]
    line: dict[str, Value] = {"act": "exit", "phase": "intent", "access": "0" * 64, "controller": "demo", "holds": 0}
    forged = chained(line | {"seq": last["seq"] + 1, "time": last["time"], "prev": last["hash"]})
    file.write_bytes(rechained([*lines, forged.body]))

    said, code = home.shell(f"COLUMNS=300 {READ}")
    told = json.loads(said)["error"]
    assert (code, told["code"]) == (9, "integrity_stop")
    assert "nobody here signed" in told["message"]
    assert "glomska ledger disown" in told["hint"]
    assert home.shell("glomska doctor")[1] != 0

    assert home.shell("glomska ledger disown") == ("disowned: exit\n", 0)
    assert home.shell("glomska ledger disown --json") == ('{"disowned": []}\n', 0)
    assert home.shell(READ) == before
    said, code = home.shell(
        "glomska ledger public-key > pub; glomska verify state/ledger/ledger.jsonl --key pub --json"
    )
    assert (code, json.loads(said)["valid"]) == (0, True)
