"""Peers that are not ours: Node-RED, Telegraf, Vector. What each needs, its shipped configuration, how it is started.

Node-RED is an npm package of one pinned version, installed once into a cache directory outside the repository
(`$XDG_CACHE_HOME/glomska-bench`). The others are taken where they are installed. What is absent says how to get it, and
the comparison goes on without it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from benchmarks.places import Place, Start
from benchmarks.program import ProgramFault
from benchmarks.stores import DATABASE, InfluxSide, StoreSide

PEERS = Path(__file__).parent / "peers"
NODE_RED = "node-red@4.1.15"
NPM_SECONDS = 600
FIELDS = 4  # of a message, each stored on its own


class _Foreign:
    """A pipeline into InfluxDB, configured by files that are shipped in `peers` and by its environment."""

    pipeline: str
    program: str
    how: str
    store = "influxdb"

    def missing(self) -> str:
        """How to get what is absent, or nothing."""
        return "" if shutil.which(self.program) else f"{self.program} is not installed: {self.how}"

    def open_store(self, state: Path) -> StoreSide | None:  # noqa: ARG002 - it keeps no state
        """A server."""
        return InfluxSide(fields=FIELDS)

    def prepare(self, place: Place) -> None:
        """Nothing to do."""

    @staticmethod
    def environment(place: Place) -> dict[str, str]:
        """What the shipped configurations name."""
        http_url = place.store_url.removeprefix("influxdb1+").removesuffix(f"/{DATABASE}")
        return {
            "BENCH_BROKER_PORT": str(place.broker_port),
            "BENCH_STORE_URL": http_url,
            "BENCH_STORE_WRITE": f"{http_url}/write?db={DATABASE}&precision=ms",
            "BENCH_STATE": str(place.state),
        }


class NodeRed(_Foreign):
    """mqtt in → function with HMAC → batches of 5,000 lines → InfluxDB."""

    pipeline, program = "node-red", "npm"
    how = "apt-get install nodejs npm (Node.js 18.5 or later)"

    def prepare(self, place: Place) -> None:
        """Install it where it is not yet; put the flow into a directory of its own. Raises ProgramFault."""
        if not _node_red().exists():
            _install()
        shutil.copytree(PEERS / "node_red", place.state / "node-red", dirs_exist_ok=True)

    def start(self, place: Place) -> Start:
        """Its own start script, on that directory."""
        home = place.state / "node-red"
        command = ["node", str(_node_red()), "--userDir", str(home), "--settings", str(home / "settings.js")]
        return Start(command, self.environment(place))


class Telegraf(_Foreign):
    """mqtt_consumer → influxdb: no keyed hash, and acknowledged after it was written."""

    pipeline = program = "telegraf"
    how = "see the packages that its makers offer"

    def start(self, place: Place) -> Start:
        """With the shipped configuration."""
        command = [self.program, "--config", str(PEERS / "telegraf" / "telegraf.conf")]
        return Start(command, self.environment(place), ready_text="[inputs.mqtt_consumer] Connected")


class Vector(_Foreign):
    """mqtt → remap with HMAC → http."""

    pipeline = program = "vector"
    how = "see the packages that its makers offer; it must be 0.43 or later, which has an MQTT source"

    def start(self, place: Place) -> Start:
        """With the shipped configuration."""
        command = [self.program, "--config", str(PEERS / "vector" / "vector.yaml")]
        return Start(command, self.environment(place), ready_text="Vector has started")


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "glomska-bench" / NODE_RED


def _node_red() -> Path:
    return _cache() / "node_modules" / "node-red" / "red.js"


def _install() -> None:
    _cache().mkdir(parents=True, exist_ok=True)
    command = ["npm", "install", "--prefix", str(_cache()), "--no-audit", "--no-fund", "--ignore-scripts", NODE_RED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=NPM_SECONDS, check=False)
    if done.returncode != 0:
        raise ProgramFault(f"npm could not install {NODE_RED}: {done.stderr[-1000:]}")
