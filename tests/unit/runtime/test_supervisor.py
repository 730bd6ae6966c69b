"""The supervisor, as the program that it is, over small programs that stand for workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.runtime.bond import SUPERVISOR

PATIENCE_S = 120.0
HARNESS = """
import sys
from gateway.runtime import supervisor
from gateway.runtime.log import Log
from gateway.runtime.notify import Notifier
supervisor.WATCHDOG_S, supervisor.START_S = float(sys.argv[4]), float(sys.argv[3])
supervisor.FIRST_BACK_OFF_S = 0.01
command = [sys.executable, sys.argv[1]]
sys.exit(supervisor.Supervisor(command, int(sys.argv[2]), Log(), Notifier(), {"client_id": "g"}).run())
"""
WORKER = """
import os, signal, sys, time
from pathlib import Path
from gateway.runtime.notify import BOOKS, Notifier

class Over:  # no threading.Event: who waits for one holds its lock, for which the handler would wait for ever
    told = False
    def set(self):
        self.told = True
    def wait(self, seconds=float("inf")):
        until = time.monotonic() + seconds
        while not self.told and time.monotonic() < until:
            time.sleep(0.02)
        return self.told

number, above, over = int(sys.argv[2]), Notifier.of(os.environ), Over()
starts = Path(__file__).with_name(f"starts-{number}")
times = len(starts.read_text()) if starts.exists() else 0
signal.signal(signal.SIGTERM, lambda *_: over.set())
signal.signal(signal.SIGHUP, lambda *_: starts.with_name(f"reloaded-{number}").touch())
starts.write_text("x" * (times + 1))  # from here on it ends as it should
HERE
"""
GOOD = """
above.say("READY=1", BOOKS + '={"stored": 1, "refused": {"topic": 2}}')
while not over.wait(0.2):
    above.say("WATCHDOG=1")
above.say(BOOKS + '={"stored": 10, "refused": {"topic": 2, "erased": 1}, "untimed": 0, "redelivered": 0}')
"""
KILLED = "    while not starts.with_name('go').exists(): over.wait(0.02)\n    os.kill(os.getpid(), signal.SIGKILL)\n"


class Supervised:
    """The program, and what it writes."""

    def __init__(
        self,
        directory: Path,
        count: int,
        body: str,
        *,
        start_s: float = 600.0,
        watchdog_s: float = 600.0,
        harness: str = HARNESS,
    ) -> None:
        """`watchdog_s`: who is slow on a busy machine is not silent, except where that is what is tested."""
        (directory / "worker.py").write_text(WORKER.replace("HERE", body))
        self.directory = directory
        self.process = subprocess.Popen(
            [sys.executable, "-c", harness, str(directory / "worker.py"), str(count), str(start_s), str(watchdog_s)],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )

    def wait(self, event: str, **fields: object) -> dict[str, Any]:
        """The next line of that name with these fields."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            told = json.loads(line) if line.startswith("{") else {}
            if told.get("event") == event and fields.items() <= told.items():
                return dict(told)
        raise AssertionError(f"it ended without {event}")

    def starts(self, number: int) -> int:
        """How often this worker was started."""
        file = self.directory / f"starts-{number}"
        return len(file.read_text()) if file.exists() else 0

    def go(self) -> None:
        """Whoever waits to be killed is."""
        (self.directory / "go").touch()

    def await_file(self, name: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not (self.directory / name).exists():
            assert time.monotonic() < deadline, name
            time.sleep(0.02)

    def end(self) -> int:
        assert self.process.stderr is not None
        code = self.process.wait(PATIENCE_S)
        self.process.stderr.close()
        return code


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_all_are_ready_and_their_books_are_added_up(tmp_path: Path, number: signal.Signals, code: int) -> None:
    supervised = Supervised(tmp_path, 3, GOOD)
    assert supervised.wait("ready").items() >= {"client_id": "g", "workers": 3}.items()
    supervised.process.send_signal(number)
    books = supervised.wait("stopped")
    assert supervised.end() == code
    assert (books["stored"], books["refused"], books["restarts"]) == (30, {"erased": 3, "topic": 6}, 0)


def test_a_killed_worker_is_started_again_and_its_books_count(tmp_path: Path) -> None:
    killed = "if number == 2 and times < 2:\n    over.wait(0.5)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    first, rest = GOOD[1:].split("\n", 1)
    supervised = Supervised(tmp_path, 2, f"{first}\n{killed}if times == 2: starts.with_name('third').touch()\n{rest}")
    for _ in range(2):
        assert supervised.wait("worker ended", worker=2)["code"] == -signal.SIGKILL
    deadline = time.monotonic() + PATIENCE_S
    while supervised.starts(2) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    supervised.await_file("third")
    supervised.await_file("starts-1")
    supervised.process.terminate()
    books = supervised.wait("stopped")
    assert supervised.end() == 0
    assert (books["stored"], books["restarts"]) == (22, 2)


@pytest.mark.parametrize("code", [3, 5, 9])
def test_what_a_person_has_to_mend_ends_all_with_its_code(tmp_path: Path, code: int) -> None:
    supervised = Supervised(tmp_path, 2, f"if number == 2: sys.exit({code})\n" + GOOD)
    assert supervised.wait("worker ended", worker=2)["again"] is False
    supervised.wait("stopped")
    assert supervised.end() == code
    assert supervised.starts(2) == 1
    assert supervised.starts(1) <= 1, "it may have been ended before it had begun"


def test_unreachable_at_the_start_is_what_it_is_for_a_process_alone(tmp_path: Path) -> None:
    supervised = Supervised(tmp_path, 2, "if number == 1: sys.exit(4)\n" + GOOD)
    supervised.wait("stopped")
    assert supervised.end() == 4


def test_a_worker_that_falls_silent_is_killed(tmp_path: Path) -> None:
    silent = "if number == 1 and times == 0:\n    above.say('READY=1')\n    while True: time.sleep(9)\n"
    supervised = Supervised(tmp_path, 2, silent + GOOD, watchdog_s=2.0)
    supervised.wait("worker silent", worker=1)
    supervised.wait("worker ended", worker=1)
    supervised.process.terminate()
    supervised.wait("stopped")
    assert supervised.end() == 0


def test_a_worker_that_hangs_before_it_is_ready_is_killed(tmp_path: Path) -> None:
    hangs = "if number == 1 and times == 0: over.wait()\n"
    supervised = Supervised(tmp_path, 2, hangs + GOOD, start_s=5.0)
    supervised.wait("worker silent", worker=1)
    assert supervised.wait("worker ended", worker=1)["again"] is True
    supervised.wait("ready")
    supervised.process.terminate()
    supervised.wait("stopped")
    assert supervised.end() == 0


@pytest.mark.parametrize("code", [3, 5])
def test_what_a_person_has_to_mend_of_one_that_was_ready_leaves_the_others_alone(tmp_path: Path, code: int) -> None:
    """A mapping that a reload refused, or a spool that is being drained: twice in its way, then no longer."""
    first, rest = GOOD[1:].split("\n", 1)
    killed = f"if number == 2 and times == 0:\n{KILLED}"
    mended = f"if number == 2 and times in (1, 2): sys.exit({code})\n"
    third = "if times == 3: starts.with_name('third').touch()\n"
    supervised = Supervised(tmp_path, 2, f"{mended}{first}\n{killed}{third}{rest}")
    supervised.wait("ready")
    supervised.go()
    for _ in range(2):
        said = supervised.wait("worker ended", code=code)
        assert said.items() >= {"again": True, "level": "error"}.items()
        assert "its share of what is published waits at the broker" in said["hint"]
    supervised.await_file("third")
    assert (supervised.starts(1), supervised.starts(2)) == (1, 4)
    supervised.process.terminate()
    supervised.wait("stopped")
    assert supervised.end() == 0


@pytest.mark.parametrize("code", [2, 8, 9])
def test_broken_integrity_ends_all_also_later(tmp_path: Path, code: int) -> None:
    first, rest = GOOD[1:].split("\n", 1)
    killed = f"if number == 2:\n{KILLED}"
    supervised = Supervised(tmp_path, 2, f"if times: sys.exit({code})\n{first}\n{killed}{rest}")
    supervised.wait("ready")
    supervised.go()
    assert supervised.wait("worker ended", code=code)["again"] is False
    supervised.wait("stopped")
    assert supervised.end() == code


def test_what_cannot_be_started_is_tried_for_as_long_as_it_takes(tmp_path: Path) -> None:
    """No memory for a process, say. After a thousand tries 2 to the power of tries fits no float any more."""
    hasty = "supervisor.BACK_OFF_S = supervisor._TICK_S = 0.0\nsys.executable = '/nonexistent/python'\ncommand"
    supervised = Supervised(tmp_path, 1, GOOD, harness=HARNESS.replace("command", hasty, 1))
    for _ in range(1100):
        assert supervised.wait("worker not started")["again"] is True
    supervised.process.terminate()
    supervised.wait("stopped")
    assert supervised.end() == 0


def test_a_worker_whose_supervisor_is_gone_ends_before_it_begins(tmp_path: Path) -> None:
    """It was killed before the kernel could be asked to tell the worker."""
    command = [sys.executable, "-P", "-m", "gateway.cli.start", "run", "--workers", "2", "--worker", "1"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), SUPERVISOR: str(os.getppid())}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGTERM, "", "")


def test_sighup_reaches_every_worker(tmp_path: Path) -> None:
    supervised = Supervised(tmp_path, 2, GOOD)
    supervised.wait("ready")
    supervised.process.send_signal(signal.SIGHUP)
    for number in (1, 2):
        supervised.await_file(f"reloaded-{number}")
    supervised.process.terminate()
    assert supervised.end() == 0


def test_the_second_signal_ends_everything_at_once(tmp_path: Path) -> None:
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    supervised = Supervised(tmp_path, 1, deaf + "above.say('READY=1')\nover.wait(20)\n")
    supervised.wait("ready")
    supervised.process.terminate()
    supervised.wait("stopping")
    supervised.process.terminate()
    assert supervised.end() == -signal.SIGTERM


def test_it_imports_nothing_of_the_rooms_below() -> None:
    code = "import sys, gateway.runtime.supervisor; print(*sorted(m for m in sys.modules if m.startswith('gateway')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        "gateway", "gateway.errors", "gateway.runtime", "gateway.runtime.bond", "gateway.runtime.log",
        "gateway.runtime.notify", "gateway.runtime.supervisor",
    ]  # fmt: skip
