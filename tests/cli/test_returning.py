"""An erased customer does not come back by accident, and comes back by word as somebody else."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Home

LINE = "demo,anna,meter-1,11122,"
ENROL = f"printf '%s\\n' controller,customer,device,postal_code,valid_from {LINE} | COLUMNS=200 glomska enrol --csv -"


def outcomes(directory: Path) -> list[str]:
    """Incarnations that began, in their order."""
    lines = map(json.loads, (directory / "state" / "ledger" / "ledger.jsonl").read_text().splitlines())
    return [name for line in lines for name in line.get("incarnations", [])]


def test_without_a_word_an_erased_customer_is_refused_and_with_it_they_are_another_incarnation(home: Home) -> None:
    before = outcomes(home.directory)
    said, code = home.shell("echo demo/anna | glomska erase - --yes --json")
    certificate = json.loads(said)["certificate"]
    claims = json.loads(
        home.shell(f"glomska ledger public-key > pub; glomska verify {certificate} --key pub --json")[0]
    )
    gone = claims["claims"]["incarnation"]
    assert gone in before

    said, code = home.shell(ENROL)
    assert code == 5
    assert said.startswith("0 enrolled, 0 already there, 1 refused\n")
    assert "erased" in said
    assert "with --new-incarnation they begin anew" in said
    assert outcomes(home.directory) == before, "nobody began"
    assert home.shell("echo demo/anna | glomska read - --purpose support --from -7d")[1] == 7

    said, code = home.shell(f"{ENROL} --new-incarnation")
    assert (said, code) == ("1 enrolled, 0 already there, 0 refused\n", 0)
    (fresh,) = set(outcomes(home.directory)) - set(before)
    assert fresh != gone
    said, code = home.shell("echo demo/anna | glomska read - --purpose support --from -7d --json")
    assert (said, code) == ("[]\n", 0), "nothing of the life before"
