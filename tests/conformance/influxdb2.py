"""A real InfluxDB 2 of the machine that runs the tests: `GLOMSKA_TEST_INFLUXDB2=/path/to/influxd`."""

from __future__ import annotations

import json
import os
import urllib.error
from pathlib import Path
from typing import Any, Self

from benchmarks.servers import Server, http
from tests.conformance.documented import ORGANISATION, TOKEN

PROGRAM = os.environ.get("GLOMSKA_TEST_INFLUXDB2", "")


class InfluxDB2(Server):
    """Set up with one organisation and an operator's token."""

    program = PROGRAM
    package = "influxdb2"

    @property
    def http_url(self) -> str:
        return self.url

    def start(self) -> Self:
        fresh = not (self.directory / "bolt").exists()
        super().start()
        if fresh:
            setup = {"username": "test", "password": "of-the-test-only", "org": ORGANISATION, "bucket": "first"}
            http(f"{self.url}/api/v2/setup", data=json.dumps({**setup, "token": TOKEN}).encode())
        return self

    def create_bucket(self, name: str) -> None:
        """Through the product, which is what makes them in use."""
        from gateway.transport.influx2 import Influx2Store  # noqa: PLC0415 - only where there is an InfluxDB 2
        from gateway.transport.store import Login  # noqa: PLC0415

        store = Influx2Store(self.url, organisation=ORGANISATION, bucket=name, login=Login(token=TOKEN.encode()))
        try:
            store.prepare()
        finally:
            store.close()

    def arguments(self) -> list[str]:
        place = self.directory
        return [
            f"--bolt-path={place / 'bolt'}",
            f"--engine-path={place / 'engine'}",
            f"--sqlite-path={place / 'sqlite'}",
            f"--http-bind-address=127.0.0.1:{self.port}",
            "--reporting-disabled",
            "--log-level=error",
        ]

    def answers(self) -> bool:
        try:
            answer: dict[str, Any] = json.loads(http(f"{self.url}/health", timeout=1))
        except (urllib.error.URLError, OSError, ValueError):
            return False
        return answer.get("status") == "pass"

    def _binary(self) -> str:
        return str(Path(self.program).resolve(strict=True))
