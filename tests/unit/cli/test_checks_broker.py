"""What `doctor` says of the broker: whether it lets us in, and for how long it keeps what waits."""

from __future__ import annotations

import pytest

from benchmarks.servers import EmbeddedBroker, Mosquitto
from gateway.cli.checks import CHECKS
from gateway.errors import ConfigurationFault
from gateway.runtime.config import load_settings
from gateway.runtime.wiring import opened
from tests.fronts import Curtailing, Relay
from tests.world import World


def check(world: World, broker: str, **more: str) -> str:
    environ = {"GLOMSKA_STATE": str(world.directory), "GLOMSKA_MQTT__URL": broker} | more
    with opened(load_settings(environ=environ), create=False) as house:
        return CHECKS["broker"](house)


def test_a_broker_that_keeps_a_session_for_less_than_is_asked_is_told_of(world: World) -> None:
    with Mosquitto() as mosquitto, Curtailing(mosquitto.port, granted_s=3600) as broker:
        with pytest.raises(ConfigurationFault, match="keeps a session for 3600 s, not 7200 s") as caught:
            check(world, broker.url, GLOMSKA_MQTT__SESSION_EXPIRY_S="7200")
        assert "lower mqtt.session_expiry_s" in caught.value.hint
        assert "takes the subscription" in check(world, broker.url, GLOMSKA_MQTT__SESSION_EXPIRY_S="3600")


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_broker_that_says_nothing_of_it_is_believed(world: World, version: str) -> None:
    with Mosquitto() as mosquitto, Relay(mosquitto.port) as broker:
        assert "takes the subscription" in check(world, broker.url, GLOMSKA_MQTT__VERSION=version)


def test_the_embedded_broker_is_well(world: World) -> None:
    with EmbeddedBroker() as broker:
        assert "takes the subscription" in check(world, broker.url)
