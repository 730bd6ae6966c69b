"""Floors and walls hold, and each of them is seen to break: a contract that nothing can violate protects nobody."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# (contract, module to add to a copy, what that module imports): at least one for every contract.
TRESPASSES = [
    ("floors", "gateway.model.trespass", "gateway.policy"),
    ("floors", "gateway.keystore.trespass", "gateway.keys"),
    ("floors", "gateway.control.trespass", "gateway.transport"),
    ("floors", "gateway.transport.trespass", "gateway.pipeline"),
    ("floors", "gateway.pipeline.trespass", "gateway.control"),
    ("floors", "gateway.keys.trespass", "gateway.runtime"),
    ("floors", "gateway.runtime.trespass", "gateway.cli"),
    ("privacy", "gateway.transport.trespass", "gateway.model.clear"),
    ("privacy", "gateway.control.trespass", "gateway.model.clear"),
    ("privacy", "gateway.keys.trespass", "gateway.model.clear"),
    ("privacy", "gateway.cli.trespass", "gateway.model.clear"),
    ("arrivals", "gateway.transport.trespass", "gateway.transport.ingest"),
    ("arrivals", "gateway.transport.trespass", "gateway.transport.ingest.session"),
    ("arrivals", "gateway.runtime.trespass", "gateway.transport.ingest"),
    ("arrivals", "gateway.cli.trespass", "gateway.transport.ingest"),
    ("crypto", "gateway.pipeline.trespass", "gateway.crypto"),
    ("crypto", "gateway.cli.trespass", "gateway.crypto"),
    ("crypto", "gateway.control.trespass", "gateway.crypto"),
    ("handles", "gateway.pipeline.trespass", "gateway.keys.trespass"),
    ("opened", "gateway.cli.trespass", "gateway.keys.handle"),
    ("opened", "gateway.runtime.trespass", "gateway.keys.handle"),
    ("opened", "gateway.control.trespass", "gateway.keys.handle"),
    ("opened", "gateway.transport.trespass", "gateway.keys.handle"),
    ("subjects", "gateway.cli.trespass", "gateway.keys.subject"),
    ("subjects", "gateway.runtime.trespass", "gateway.keys.subject"),
    ("keyless", "gateway.cli.trespass", "gateway.keys.handle"),
    ("keyless", "gateway.cli.trespass", "gateway.keys.custodian"),
    ("keyless", "gateway.cli.trespass", "gateway.keys.lineage"),
    ("keyless", "gateway.transport.trespass", "gateway.keys.ring"),
    ("pure", "gateway.model.trespass", "logging"),
    ("pure", "gateway.crypto.trespass", "threading"),
    ("pure", "gateway.policy.trespass", "socket"),
    ("pure", "gateway.pipeline.trespass", "asyncio"),
    ("pure", "gateway.pipeline.trespass", "sqlite3"),
    *(
        ("pure", f"gateway.{room}.trespass", module)
        for room in ("model", "crypto", "policy", "pipeline")
        for module in ("http.client", "os", "random", "select", "ssl", "subprocess", "time", "urllib.request")
    ),
    *(
        ("pure", "gateway.pipeline.trespass", module)
        for module in ("concurrent.futures", "multiprocessing", "queue", "selectors", "shutil", "signal", "tempfile")
    ),
    ("door-mqtt", "gateway.control.trespass", "mqtt5"),
    ("door-mqtt", "gateway.runtime.trespass", "paho"),
    ("door-broker", "gateway.runtime.trespass", "iotcore"),
    ("door-sqlalchemy", "gateway.keys.trespass", "sqlalchemy"),
    ("door-sqlite3", "gateway.keystore.trespass", "sqlite3"),
    ("door-pkcs11", "gateway.control.trespass", "pkcs11"),
    ("door-psycopg", "gateway.keystore.trespass", "psycopg"),
    ("door-http", "gateway.control.trespass", "urllib3"),
    ("door-url", "gateway.cli.trespass", "urllib.request"),
    ("door-url", "gateway.control.trespass", "urllib.request"),
    ("door-network", "gateway.cli.trespass", "http.client"),
    ("door-network", "gateway.cli.trespass", "socket"),
    ("door-network", "gateway.runtime.trespass", "asyncio"),
    ("door-network", "gateway.control.trespass", "smtplib"),
    ("door-network", "gateway.keys.trespass", "ssl"),
    ("door-network", "gateway.transport.trespass", "select"),
    ("door-programs", "gateway.cli.trespass", "subprocess"),
    ("door-programs", "gateway.runtime.trespass", "multiprocessing"),
    ("door-influxdb2", "gateway.control.trespass", "influxdb_client"),
    ("door-terminal", "gateway.runtime.trespass", "rich"),
    ("door-terminal", "gateway.runtime.trespass", "typer"),
    ("door-terminal", "gateway.control.trespass", "pyarrow"),
    ("door-terminal", "gateway.control.trespass", "plotext"),
    ("door-cryptography", "gateway.control.trespass", "cryptography"),
    ("door-pydantic", "gateway.keys.trespass", "pydantic"),
    ("door-cbor", "gateway.transport.trespass", "cbor2"),
    ("door-canonical-json", "gateway.keystore.trespass", "rfc8785"),
    ("door-directories", "gateway.control.trespass", "platformdirs"),
]


def contracts() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return {c["id"]: c["name"] for c in project["tool"]["importlinter"]["contracts"]}


def lint(directory: Path) -> subprocess.CompletedProcess[str]:
    linter = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [linter, "--no-logo", "--no-cache"], cwd=directory, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the linter says of each contract, by its id, about a copy of the house with all trespasses in it."""
    house = tmp_path_factory.mktemp("house")
    shutil.copy(ROOT / "pyproject.toml", house)
    shutil.copytree(ROOT / "gateway", house / "gateway", ignore=shutil.ignore_patterns("__pycache__"))
    for _, module, target in TRESPASSES:
        with (house / module.replace(".", "/")).with_suffix(".py").open("a") as file:
            file.write(f"import {target}\n")
    result = lint(house)
    _, heading, report = result.stdout.partition("Broken contracts\n")
    assert heading, result.stdout + result.stderr
    starts = {key: report.find(f"\n{name}\n") for key, name in contracts().items()}
    ends = sorted([*starts.values(), len(report)])
    return {k: report[start : ends[ends.index(start) + 1]] for k, start in starts.items() if start >= 0}


@pytest.mark.parametrize(("contract", "module", "target"), TRESPASSES)
def test_a_trespass_breaks_its_contract(contract: str, module: str, target: str, broken: dict[str, str]) -> None:
    seen = target if target.startswith("gateway") else target.partition(".")[0]  # the linter knows others by first name
    assert f"{module} -> {seen} " in broken.get(contract, "")


def test_every_contract_is_seen_to_break() -> None:
    assert {contract for contract, _, _ in TRESPASSES} == set(contracts())


def test_the_house_as_it_stands_keeps_every_contract() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr
