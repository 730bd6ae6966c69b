"""Commands as processes: signals, terminals, and one command beside another."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import PATIENCE_S, Home, Running


def begun(home: Home) -> Running:
    running = Running(home.popen("run"))
    ready = running.await_event("ready")
    assert (ready["client_id"], ready["store"], ready["subscriptions"]) == ("glomska-1", "sqlite", 1)
    return running


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_run_ends_with_its_books(home: Home, number: signal.Signals, code: int) -> None:
    running = begun(home)
    running.process.send_signal(signal.SIGHUP)
    running.await_event("reload")
    ended, books = running.end(number)
    assert ended == code
    assert {"stored": 0, "refused": {}, "untimed": 0, "redelivered": 0}.items() <= books.items()


def test_a_faulty_policy_is_refused_with_all_its_faults_and_the_next_good_one_taken(home: Home) -> None:
    running = begun(home)
    policy = home.directory / "policy.toml"
    good = policy.read_text()
    policy.write_text(good.replace('unit = "W"', 'unit = "horse power"').replace("decimals = 3", "decimals = 2"))
    running.process.send_signal(signal.SIGHUP)
    refused = running.await_event("reload refused")
    assert "quantity.power.unit" in str(refused["message"])
    policy.write_text(good.replace("decimals = 3", "decimals = 2"))
    running.process.send_signal(signal.SIGHUP)
    refused = running.await_event("reload refused")
    assert "quantity.energy.decimals: found 2; allowed under this schema: 3" in str(refused["message"])
    policy.write_text(good)
    running.process.send_signal(signal.SIGHUP)
    running.await_event("reload")
    assert running.end(signal.SIGTERM)[0] == 0


def test_workers_share_the_work_under_one_supervisor(home: Home) -> None:
    running = Running(home.popen("run", "--workers", "2"))
    ready = running.await_event("ready")
    assert {"client_id": "glomska-1", "workers": 2}.items() <= ready.items()
    (home.directory / "subject").write_text("demo/anna")
    said, code = home.shell("glomska erase @subject --yes --json")
    assert (code, json.loads(said)["state"]) == (0, "effective")
    running.process.send_signal(signal.SIGHUP)
    assert {running.await_event("reload")["worker"] for _ in range(2)} == {1, 2}
    children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text().split()
    assert len(children) == 2
    os.kill(int(children[1]), signal.SIGKILL)
    assert running.await_event("worker ended")["again"] is True
    while running.await_event("broker")["state"] != "connected":
        pass
    code, books = running.end(signal.SIGTERM)
    assert (code, books["restarts"], books["stored"]) == (0, 1, 0)


def started_by(process: int) -> list[int]:
    """Its children that are not only waited for; none when it is gone."""
    with contextlib.suppress(FileNotFoundError):
        found = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        return [int(pid) for pid in found if Path(f"/proc/{pid}/cmdline").read_bytes()]
    return []


def alive(process: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return bool(Path(f"/proc/{process}/cmdline").read_bytes())  # empty for one that only waits to be waited for
    return False


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_a_supervisor_that_is_killed_while_a_worker_starts_leaves_nobody(home: Home) -> None:
    supervisor = home.popen("run", "--workers", "1")
    command = Path(f"/proc/{supervisor.pid}/cmdline")
    until(lambda: b"supervisor" in command.read_bytes() and started_by(supervisor.pid))
    (worker,) = started_by(supervisor.pid)
    supervisor.kill()
    supervisor.wait(PATIENCE_S)
    until(lambda: not alive(worker))
    again = Running(home.popen("run", "--workers", "1"))
    again.await_event("ready")
    assert again.end(signal.SIGTERM)[0] == 0


def test_a_worker_that_cannot_start_again_takes_no_other_with_it(home: Home) -> None:
    running = Running(home.popen("run", "--workers", "2"))
    running.await_event("ready")
    first, second = started_by(running.process.pid)
    keys = list((home.directory / "state" / "kek").glob("w-*.key"))
    for key in keys:
        key.chmod(0o640)
    os.kill(second, signal.SIGKILL)
    assert running.await_event("worker ended")["code"] == -signal.SIGKILL
    assert running.await_event("worker ended")["code"] == 3
    assert alive(first)
    for key in keys:
        key.chmod(0o600)
    assert running.end(signal.SIGTERM)[0] == 0


def test_a_worker_starts_again_under_the_policy_of_the_others_when_its_file_is_faulty(home: Home) -> None:
    running = Running(home.popen("run", "--workers", "2"))
    running.await_event("ready")
    first, second = started_by(running.process.pid)
    policy = home.directory / "policy.toml"
    policy.write_text(policy.read_text().replace('unit = "W"', 'unit = "horse power"'))
    os.kill(second, signal.SIGKILL)
    assert running.await_event("worker ended")["code"] == -signal.SIGKILL
    while running.await_event("broker")["state"] != "connected":
        pass
    assert alive(first)
    assert running.end(signal.SIGTERM)[0] == 0


@pytest.mark.parametrize(("first", "second"), [((), ("--workers", "2")), (("--workers", "2"), ())])
def test_a_second_gateway_on_the_same_state_is_refused(
    home: Home, first: tuple[str, ...], second: tuple[str, ...]
) -> None:
    running = Running(home.popen("run", *first))
    running.await_event("ready")
    said, code = home.shell(" ".join(("glomska", "run", *second)))
    assert code == 5
    assert "runs already with this state directory and client_id" in said
    assert running.end(signal.SIGTERM)[0] == 0


def test_workers_without_a_key_end_once_with_the_reason(home: Home) -> None:
    for file in (home.directory / "state" / "kek").glob("w-*.key"):
        file.unlink()
    said, code = home.shell("glomska run --workers 2")
    assert code == 3
    assert 1 <= said.count("glomska: the custodian's key file") <= 2


def test_a_configuration_fault_is_said_once_before_there_are_workers(home: Home) -> None:
    said, code = home.shell("GLOMSKA_MQTT__VERSION=4 glomska run --workers 3")
    assert (code, said.count("mqtt.version")) == (3, 1)


def test_a_running_gateway_finishes_an_erasure(home: Home) -> None:
    home.environment["GLOMSKA_STORE__TIMEOUT_S"] = "0.1"
    running = begun(home)
    said, code = home.shell("echo demo/anna | glomska erase - --yes --json")
    assert (code, json.loads(said)["state"]) == (0, "effective")
    assert home.shell("echo demo/anna | glomska read - --purpose support")[1] == 7
    said, code = home.shell("echo demo/bo | glomska erase - --yes --wait --json")
    assert (code, json.loads(said)["state"]) == (0, "effective")
    until(lambda: "none open" in home.shell("glomska doctor")[0])  # the first one is finished by `run`
    assert running.end(signal.SIGTERM)[0] == 0, running.lines
    assert "none open" in home.shell("glomska doctor")[0]


def test_after_a_gateway_that_was_killed_the_command_itself_finishes_it(home: Home) -> None:
    home.environment |= {"GLOMSKA_STORE__TIMEOUT_S": "0.1", "GLOMSKA_KEYS__LEASE_S": "1"}
    running = begun(home)
    running.process.kill()
    running.process.wait(PATIENCE_S)
    said, code = home.shell("echo demo/anna | glomska erase - --yes --json")
    assert (code, json.loads(said)["state"]) == (0, "effective")
    assert "none open" in home.shell("glomska doctor")[0]


def test_who_stops_waiting_is_told_what_holds(home: Home) -> None:
    home.environment["GLOMSKA_STORE__TIMEOUT_S"] = "120"
    running = begun(home)  # whose deadline is waited for
    (home.directory / "subject").write_text("demo/anna")
    process = home.popen("erase", "@subject", "--yes", "--wait")
    assert process.stdout is not None
    while "rows deleted" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_S) == 130
    assert process.stderr is not None
    first, second = process.stderr.read().splitlines()
    assert first == "glomska: interrupted; rows deleted from the store"
    assert second.startswith("next: `glomska run` carries on")
    assert running.end(signal.SIGTERM)[0] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_follows_stops_and_leaves_nothing(home: Home, number: signal.Signals) -> None:
    (home.directory / "subject").write_text("demo/anna")
    process = home.popen("read", "@subject", "--purpose", "support", "--from", "-3d", "--follow", "--format", "csv")
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(4)]
    assert lines[0] == "time,device,quantity,unit,value,revision\n"
    assert [line.split(",")[4] for line in lines[1:]] == ["1250", "21.50", "21.00"]
    process.send_signal(number)
    assert process.wait(PATIENCE_S) == 130
    assert process.stdout.read() == ""
    with contextlib.closing(sqlite3.connect(home.directory / "state" / "keys.db")) as keys:
        assert keys.execute("SELECT count(*) FROM workers").fetchone() == (0,)


def test_who_follows_is_told_of_an_erasure(home: Home) -> None:
    (home.directory / "subject").write_text("demo/anna")
    process = home.popen("read", "@subject", "--purpose", "support", "--from", "-3d", "--follow", "--json")
    assert process.stdout is not None
    assert [json.loads(process.stdout.readline())["value"] for _ in range(3)] == [1250, 21.5, 21.0]
    said, code = home.shell("echo demo/anna | glomska erase - --yes --json")
    assert (code, json.loads(said)["state"]) == (0, "effective")
    assert process.wait(PATIENCE_S) == 7
    assert json.loads(process.stdout.read())["error"]["code"] == "key_destroyed"


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, home: Home, *arguments: str) -> None:
        self._end, other = pty.openpty()
        self.process = home.popen(*arguments, stdin=other, stdout=other, stderr=other, start_new_session=True)
        os.close(other)
        self.text = ""

    def answer(self, question: str, text: str) -> None:
        """Wait for the question, then type."""
        self._read_until(question)
        os.write(self._end, text.encode() + b"\n")

    def end(self) -> int:
        """Exit code, once everything it says was read."""
        self._read_until(None)
        os.close(self._end)
        return self.process.wait(PATIENCE_S)

    def _read_until(self, wanted: str | None) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while wanted is None or wanted not in self.text:
            assert select.select([self._end], [], [], deadline - time.monotonic())[0], f"waiting for {wanted!r}"
            try:
                self.text += os.read(self._end, 4096).decode()
            except OSError:  # it has ended
                assert wanted is None, f"it ended without {wanted!r}"
                return


def test_erase_asks_for_the_subject_twice(home: Home) -> None:
    terminal = Terminal(home, "erase")
    terminal.answer("subject (controller/customer): ", "demo/anna")
    terminal.answer("the subject again, to erase it: ", "demo/bo")
    assert terminal.end() == 2
    assert "that was another subject; nothing was erased" in terminal.text
    assert home.shell("echo demo/anna | glomska read - --purpose support")[1] == 0
    terminal = Terminal(home, "erase", "-")
    terminal.answer("subject (controller/customer): ", "demo/anna")
    terminal.answer("the subject again, to erase it: ", "demo/anna")
    assert terminal.end() == 0
    assert "keys destroyed" in terminal.text


def test_enrol_asks_for_one_device(home: Home) -> None:
    terminal = Terminal(home, "enrol")
    answers = ("demo", "ove, jr", "meter-9", "111 22", "")
    for question, text in zip(
        ("controller: ", "customer: ", "device: ", "postal code: ", "now): "), answers, strict=True
    ):
        terminal.answer(question, text)
    assert terminal.end() == 0
    assert "1 enrolled, 0 already there, 0 refused" in terminal.text
    assert home.shell("echo 'demo/ove, jr' | glomska read - --purpose support")[1] == 0


def test_parquet_is_not_for_a_terminal(home: Home) -> None:
    (home.directory / "subject").write_text("demo/anna")
    terminal = Terminal(home, "read", "@subject", "--purpose", "support", "--format", "parquet")
    assert terminal.end() == 2
    assert "parquet is not for a terminal" in terminal.text
