"""Wiring: from configuration to parts that fit, and refusals before anything starts."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.errors import ConfigurationFault, CustodianFault, IntegrityStop, Refused, Unreachable
from gateway.policy.rules import horizon_days
from gateway.runtime.config import Settings, load_settings
from gateway.runtime.log import Log
from gateway.runtime.wiring import House
from gateway.transport.broker import free_port
from gateway.transport.influx2 import Influx2Store
from gateway.transport.ingest import Session
from gateway.transport.victoria import VictoriaStore
from tests.unit.control.test_erasure import subject
from tests.unit.transport.answers import answering
from tests.world import World

ROOT = Path(__file__).parents[3]


def settings(state: Path, **more: str) -> Settings:
    return load_settings(environ={"GLOMSKA_STATE": str(state), **more})


def house(state: Path, world: World, **more: str) -> House:
    return House(settings(state, **more), world.clock)


def test_nothing_is_opened_before_it_is_used(tmp_path: Path, world: World) -> None:
    state = tmp_path / "elsewhere"
    made = house(state, world)
    assert made.policy.schema == 1
    assert made.areas is made.areas
    made.custodian  # noqa: B018 - that it opens nothing is what is asked
    made.close()
    assert not state.exists()


def test_the_commands_and_the_worker_share_one_state(world: World) -> None:
    world.enrol("anna", "meter-1")
    world.publish("meter-1", temperature=21.5)
    world.ring.leave()
    world._registered = False
    made = house(world.directory, world)
    table = made.access.read(*(pair := subject("anna")), purpose="provision", start=0, end=2**62)
    assert table.value.tolist() == [21.5]
    assert made.erasures.erase(*pair).step == "purged_once", "no broker here, whose retained messages are owed"
    assert world.points() == []
    made.close()


def test_a_restored_key_store_serves_no_reader_either(world: World, tmp_path: Path) -> None:
    world.enrol("anna", "meter-1")
    world.keystore.scrub(())
    shutil.copy(world.directory / "keys.db", tmp_path / "copy.db")
    world.erase("anna")
    world.keystore.close()
    shutil.copy(tmp_path / "copy.db", world.directory / "keys.db")
    made = house(world.directory, world)
    with pytest.raises(IntegrityStop, match="older than its ledger"):
        made.access  # noqa: B018
    with pytest.raises(IntegrityStop, match="older than its ledger"):
        made.worker(Log(stream=io.StringIO()))
    made.close()


def test_nor_does_one_serve_a_worker_of_a_machine_without_the_ledger(world: World, tmp_path: Path) -> None:
    world.enrol("anna", "meter-1")
    world.keystore.scrub(())
    shutil.copy(world.directory / "keys.db", tmp_path / "copy.db")
    world.erase("anna")
    apart = settings(world.directory)
    apart = dataclasses.replace(apart, ledger=apart.ledger.model_copy(update={"elsewhere": True}))
    made = House(apart, world.clock)
    made.worker(Log(stream=io.StringIO()))
    made.close()
    world.keystore.close()
    shutil.copy(tmp_path / "copy.db", world.directory / "keys.db")
    made = House(apart, world.clock)
    with pytest.raises(IntegrityStop, match="it was restored from a copy"):
        made.worker(Log(stream=io.StringIO()))
    made.close()


def test_in_place_of_a_ledger_that_is_not_there_none_is_begun(world: World) -> None:
    world.enrol("anna", "meter-1")
    shutil.move(world.directory / "ledger", world.directory / "ledger.mine")
    made = house(world.directory, world)
    for door in ("control", "access", "erasures"):
        with pytest.raises(Refused, match="the ledger is missing"):
            getattr(made, door)
    with pytest.raises(Refused, match="the ledger is missing"):
        made.forgetting.recovery  # noqa: B018
    assert not (world.directory / "ledger").exists(), "it would lie where the medium is mounted, and be taken for ours"
    shutil.move(world.directory / "ledger.mine", world.directory / "ledger")
    assert made.control.ledger.id == world.control.ledger.id
    made.close()


def test_a_worker_without_broker_or_custodian_does_not_start(world: World) -> None:
    world.enrol("anna", "meter-1")
    made = house(world.directory, world, GLOMSKA_MQTT__PORT=str(free_port()))
    with pytest.raises(Unreachable, match="mqtt broker"):
        made.worker(Log(stream=io.StringIO())).run()
    with world.keystore.snapshot() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM workers").scalar() == 0
    for key in (world.directory / "kek").iterdir():
        key.chmod(0o644)
    with pytest.raises(CustodianFault, match="readable by others"):
        made.worker(Log(stream=io.StringIO())).run()
    made.close()


def test_a_password_that_others_can_read_is_refused(world: World, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("hunter2")
    password.chmod(0o644)
    with pytest.raises(ConfigurationFault, match="others may use"):
        settings(world.directory, GLOMSKA_MQTT__USERNAME="glomska", GLOMSKA_MQTT__PASSWORD_FILE=str(password))
    password.chmod(0o600)
    made = house(world.directory, world, GLOMSKA_MQTT__USERNAME="glomska", GLOMSKA_MQTT__PASSWORD_FILE=str(password))
    worker = made.worker(Log(stream=io.StringIO()))
    assert isinstance(worker._session, Session)
    assert worker._session._terms.password == b"hunter2"
    assert "hunter2" not in repr(worker._session._terms)
    made.close()


def test_no_core_dump_would_hold_keys(tmp_path: Path) -> None:
    code = """
import ctypes, json, resource, sys
from gateway.runtime.config import load_settings
from gateway.runtime.wiring import opened
with opened(load_settings(environ={"GLOMSKA_STATE": sys.argv[1]})):
    print(json.dumps([resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)]))
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[0, 0], 0]


def test_a_policy_that_seals_is_not_wired_to_a_store_of_numbers(tmp_path: Path, world: World) -> None:
    made = house(tmp_path, world, GLOMSKA_STORE__URL="victoriametrics+http://localhost")
    with pytest.raises(ConfigurationFault, match=r"holds numbers only, and .* seals: temperature, ") as fault:
        made.store  # noqa: B018
    assert "clear" in fault.value.hint


def test_a_policy_that_seals_nothing_is(tmp_path: Path, world: World) -> None:
    text = (ROOT / "config" / "policy.toml").read_text().replace('mode = "sealed"', 'mode = "clear"')
    (tmp_path / "policy.toml").write_text(text)
    policy, url = str(tmp_path / "policy.toml"), "victoriametrics+http://localhost"
    made = house(tmp_path, world, GLOMSKA_POLICY=policy, GLOMSKA_STORE__URL=url)
    assert isinstance(made.store, VictoriaStore)
    made.close()


def test_a_token_reaches_the_store_from_its_file_and_the_policy_says_how_long_it_keeps(
    tmp_path: Path, world: World
) -> None:
    secret = tmp_path / "token"
    secret.write_text("token-of-the-test\n")
    secret.chmod(0o600)
    with answering(401) as url:
        made = house(
            tmp_path, world, GLOMSKA_STORE__URL=f"influxdb2+{url}/org/b", GLOMSKA_STORE__TOKEN_FILE=str(secret)
        )
        store = made.store
        assert isinstance(store, Influx2Store)
        assert store._keep_days == horizon_days(made.policy)
        assert store._client.token == "token-of-the-test"
        made.close()
