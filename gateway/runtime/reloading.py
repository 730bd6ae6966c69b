"""Policy, mappings and certificates anew, while a worker goes on: what SIGHUP does.

    reload(house, worker)      # from the worker's next delivery on; raises with every fault, and the old ones stay

What was sealed under the old policy settles as it is. Topics, and everything in `gateway.toml`, take a restart.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from gateway.errors import ConfigurationFault
from gateway.pipeline.chain import Chain
from gateway.runtime.mappings import load_mappings

if TYPE_CHECKING:
    from gateway.runtime.wiring import House
    from gateway.runtime.worker import Worker


def reload(house: House, worker: Worker) -> None:
    """Raises ConfigurationFault, PolicyFault, with every fault, Unreachable; then nothing has changed."""
    settings = house.settings
    policy = house.accepted.load(settings.policy)
    mappings = load_mappings(settings.mqtt.mappings, policy, settings.mqtt.topics)
    if [mapping.pattern.filter for mapping in mappings] != [mapping.pattern.filter for mapping in house.mappings]:
        raise ConfigurationFault("mqtt.mappings: their topics have changed", hint="restart to subscribe to them")
    house.require_store_for(policy)
    chain = Chain(policy, max_payload_bytes=settings.mqtt.max_payload_bytes, mappings=mappings)
    worker.adopt(policy, chain, before=partial(house.accepted.take_up, policy))
    house.__dict__ |= {"policy": policy, "mappings": mappings}
