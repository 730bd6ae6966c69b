"""`glomska init`: a directory with nothing in it, a few answers, and then everything else works."""

from __future__ import annotations

import io
import json
import os
import pty
import stat
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.servers import InfluxDB1, VictoriaMetrics
from gateway.cli.main import call
from gateway.policy.load import load_policy
from gateway.policy.rules import horizon_days
from gateway.runtime.config import load_settings, resource
from tests.conformance.documented import ORGANISATION, TOKEN, Documented

DAYS = horizon_days(load_policy(resource("policy.toml")))
NOBODY = "localhost:1"

Say = Callable[..., tuple[int, str]]


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Say:
    """`glomska` with these words and this stdin, in an empty directory: exit code, stdout and stderr together."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GLOMSKA_CONFIG", raising=False)
    monkeypatch.setenv("GLOMSKA_STATE", str(tmp_path / "state"))

    def said(*words: str, stdin: str = "") -> tuple[int, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        code = call(list(words))
        return code, "".join(capfd.readouterr())

    return said


@pytest.fixture(scope="module")
def influxdb() -> Iterator[InfluxDB1]:
    with InfluxDB1() as server:
        yield server


def secret(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def store_check(say: Say) -> dict[str, object]:
    _, said = say("doctor", "--json")
    return next(check for check in json.loads(said)["checks"] if check["name"] == "store")


def test_two_answers_make_a_configuration_that_works(say: Say, tmp_path: Path) -> None:
    code, said = say("init", stdin="mqtt://localhost:1999\nsqlite\n")
    assert (code, "config/gateway.toml written" in said, "config/policy.toml written" in said) == (0, True, True)
    assert (tmp_path / "config/policy.toml").read_bytes() == resource("policy.toml").read_bytes()
    assert load_settings().file == tmp_path / "config/gateway.toml"  # found without being named
    assert load_settings().mqtt.address == ("localhost", 1999)
    before, after = resource("gateway.toml").read_text(), (tmp_path / "config/gateway.toml").read_text()
    assert [line for line in after.splitlines() if line not in before] == ['url = "mqtt://localhost:1999"']
    assert say("policy", "check")[0] == 0


def test_what_is_there_stays_as_it_is(say: Say, tmp_path: Path) -> None:
    say("init", stdin="\n\n")
    for name in ("gateway.toml", "policy.toml"):
        path = tmp_path / "config" / name
        path.write_text(f"{path.read_text()}# ours\n")
    before = [path.read_text() for path in sorted((tmp_path / "config").iterdir())]
    code, said = say("init", "--broker", "mqtt://elsewhere")
    assert (code, "is there already and stays as it is" in said) == (0, True)
    (tmp_path / "config" / "gateway.toml").unlink()
    assert say("init", stdin="\n\n")[0] == 0
    assert (tmp_path / "config" / "policy.toml").read_text() == before[1]


@pytest.mark.parametrize(
    ("words", "stdin", "code", "said"),
    [
        (["--broker", "mqtt://far", "--store", "sqlite:///a.db"], "", 3, "mqtt.url: found"),
        (["--broker", "mqtt://localhost"], "papyrus\n", 2, "no such kind of store"),
        (["--broker", "mqtt://localhost", "--store", "papyrus:"], "", 3, "store.url: found"),
        (["--broker", "mqtt://localhost", "--store", f"influxdb2+http://{NOBODY}/o/b", "--token-file", "absent"], "", 3,
         "store.token_file: found no readable file"),
        ([], "", 2, "give --broker and --store"),
        ([], "\n", 2, "give --broker and --store"),
        (["--broker", "mqtt://localhost", "--store", f"influxdb2+http://{NOBODY}/o/b"], "", 2, "with --token-file"),
    ],
)  # fmt: skip
def test_a_wrong_answer_leaves_nothing_behind(
    say: Say, tmp_path: Path, words: list[str], stdin: str, code: int, said: str
) -> None:
    done = say("init", *words, stdin=stdin)
    assert (done[0], said in done[1]) == (code, True), done
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_store_that_is_down_is_set_up_by_calling_again(say: Say, influxdb: InfluxDB1) -> None:
    words = ["--broker", "mqtt://localhost", "--store", f"influxdb1+{influxdb.http_url}/later"]
    influxdb.kill()
    try:
        code, said = say("init", *words)
    finally:
        influxdb.start()
    assert (code, "does not answer" in said) == (4, True)
    code, said = say("init")
    assert (code, f"database later made, keeps points {DAYS} days" in said) == (0, True)


def test_an_influxdb_1_gets_a_database_that_doctor_finds_right_until_someone_changes_it(
    say: Say, influxdb: InfluxDB1
) -> None:
    words = ["--broker", "mqtt://localhost", "--store", f"influxdb1+{influxdb.http_url}/homes"]
    code, said = say("init", *words)
    assert (code, f"store: database homes made, keeps points {DAYS} days" in said) == (0, True)
    assert store_check(say)["ok"]
    influxdb.query('ALTER RETENTION POLICY "autogen" ON "homes" DURATION 30d')
    check = store_check(say)
    assert not check["ok"]
    assert str(check["detail"]).endswith(f"keeps points 30 days, and the policy {DAYS} days")
    assert f"DURATION {DAYS}d" in str(check["hint"])
    code, said = say("init")
    assert (code, "keeps points 30 days" in said) == (3, True)


def test_an_influxdb_2_gets_a_bucket(say: Say, tmp_path: Path) -> None:
    token = secret(tmp_path / "token", TOKEN)
    with Documented() as server:
        url = f"influxdb2+{server.http_url}/{ORGANISATION}/homes"
        code, said = say("init", "--broker", "mqtt://localhost", "--store", url, "--token-file", str(token))
        assert (code, f"store: bucket homes made, keeps points {DAYS} days" in said) == (0, True)
        assert load_settings().store.token_file == tmp_path / "config" / ".." / "token"
        assert store_check(say)["ok"]
    assert TOKEN not in said + (tmp_path / "config/gateway.toml").read_text()


def test_a_victoriametrics_is_told_what_it_lacks(say: Say, tmp_path: Path) -> None:
    with VictoriaMetrics() as server:
        words = ["init", "--broker", "mqtt://localhost", "--store", f"victoriametrics+{server.url}"]
        code, said = say(*words)
        assert (code, "holds numbers only, and" in said, "seals: temperature" in said) == (3, True, True)
        policy = tmp_path / "config" / "policy.toml"
        policy.write_text(policy.read_text().replace('mode = "sealed"', 'mode = "clear"'))
        code, said = say("init")
        assert (code, f"start it with -retentionPeriod={DAYS}d" in said) == (3, True)
        assert not store_check(say)["ok"]


def test_a_token_that_is_typed_is_not_shown_and_goes_to_a_file_of_its_own(tmp_path: Path) -> None:
    environment = {**os.environ, "GLOMSKA_STATE": str(tmp_path / "state")}
    environment.pop("GLOMSKA_CONFIG", None)
    with Documented() as server:
        url = f"influxdb2+{server.http_url}/{ORGANISATION}/homes"
        words = ["init", "--broker", "mqtt://localhost", "--store", url]
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [Path(sys.executable).parent / "glomska", *words],
            cwd=tmp_path, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        ) as process:  # fmt: skip
            os.close(theirs)
            shown = b""
            while b"not shown" not in shown:
                shown += os.read(ours, 1024)
            while termios.tcgetattr(ours)[3] & termios.ECHO:
                time.sleep(0.01)  # what is typed before the echo is off is thrown away
            os.write(ours, f"{TOKEN}\n".encode())
            while True:
                try:
                    shown += os.read(ours, 1024)
                except OSError:  # that is how a terminal ends
                    break
        os.close(ours)
    assert process.returncode == 0, shown.decode()
    file = tmp_path / "config" / "store.token"
    assert file.read_text() == f"{TOKEN}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert TOKEN.encode() not in shown
    assert b"bucket homes made" in shown
