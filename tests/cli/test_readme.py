"""The README's transcripts, typed as they stand: what a newcomer reads first must be what happens.

Times, ids and milliseconds are compared by their form, everything else to the letter. The README's broker is at the
usual port of this machine; here it is at a free one, which is the one thing that is changed in what is typed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.servers import Mosquitto
from tests.cli.conftest import PATIENCE_S, PROGRAMS, Home
from tests.cli.test_transcripts import exchanges

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
FORMS = {
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z": "<ms time>",
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ": "<time>",
    r"\b[0-9a-f]{32}\b": "<id>",
    r"\b\d+ ms\b": "<ms>",
    r"/\S+/certificates/": "<state>/certificates/",
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def form(text: str) -> str:
    for pattern, name in FORMS.items():
        text = re.sub(pattern, name, text)
    return text


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Home, int]]:
    """An empty directory, a broker, and the file that the README shows."""
    (homes,) = blocks("csv")
    (tmp_path / "homes.csv").write_text(homes)
    with Mosquitto() as broker:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GLOMSKA_")}
        environment |= {
            "PATH": f"{PROGRAMS}:{environment['PATH']}",
            "GLOMSKA_STATE": str(tmp_path / "state"),
            "GLOMSKA_MQTT__PORT": str(broker.port),
        }
        home = Home(tmp_path, environment)
        yield home, broker.port
        home.close()


def points(home: Home) -> int:
    with contextlib.closing(sqlite3.connect(home.directory / "state" / "readings.db")) as store:
        return int(store.execute("SELECT count(*) FROM point").fetchone()[0])


def test_what_the_readme_shows_is_what_happens(place: tuple[Home, int]) -> None:
    home, port = place
    forget, install = (list(exchanges(block)) for block in blocks("console"))
    assert install.pop(0).typed == "pip install .\n"  # done: the programs are installed where these tests run
    for exchange in install + forget:
        if exchange.typed.endswith("&\n"):
            stderr = home.popen(*exchange.typed.split()[1:-1]).stderr
            assert stderr is not None
            assert form("".join(stderr.readline() for _ in exchange.said.splitlines())) == form(exchange.said)
            continue
        typed = exchange.typed.replace("qos=1", f"qos=1, port={port}")
        said, code = home.shell(typed)
        assert (form(said), code) == (form(exchange.said), exchange.code), typed
        if typed != exchange.typed:  # acknowledged by the broker; the gateway stores it next
            deadline = time.monotonic() + PATIENCE_S
            while not points(home):
                assert time.monotonic() < deadline, "what was published is not stored"
                time.sleep(0.02)
    assert points(home) == 0


def test_the_readme_names_tests_that_exist() -> None:
    """`test_x.py` alone stands in the folder of the test named before it."""
    folder = Path()
    for name in re.findall(r"`((?:tests/\w+/(?:\w+/)?)?test_\w+\.py)`", README):
        folder = Path(name).parent if "/" in name else folder
        assert (Path(__file__).parents[2] / folder / Path(name).name).is_file(), name


def test_the_readme_names_modules_that_exist() -> None:
    named = re.findall(r"`(gateway/\w+/\w+)\.py`", README)
    assert named
    assert [name for name in named if importlib.util.find_spec(name.replace("/", ".")) is None] == []
