"""Policy, mappings and certificates anew, while a worker goes on: what SIGHUP does.

    reload(house, worker)      # from the worker's next delivery on; raises with every fault, and the old ones stay

What was sealed under the old policy settles as it is. Topics, and everything in `gateway.toml`, take a restart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.errors import ConfigurationFault, PolicyFault
from gateway.pipeline.chain import Chain
from gateway.policy.load import load_policy, misread
from gateway.runtime.mappings import load_mappings

if TYPE_CHECKING:
    from gateway.runtime.wiring import House
    from gateway.runtime.worker import Worker


def reload(house: House, worker: Worker) -> None:
    """Raises ConfigurationFault, PolicyFault, with every fault; then nothing has changed."""
    settings = house.settings
    policy = load_policy(settings.policy)
    if changed := misread(house.policy, policy):
        raise PolicyFault(
            "\n".join(f"{settings.policy}: {one}" for one in changed),
            hint="give the policy a new schema number, or put these back",
        )
    mappings = load_mappings(settings.mqtt.mappings, policy, settings.mqtt.topics)
    if [mapping.pattern.filter for mapping in mappings] != [mapping.pattern.filter for mapping in house.mappings]:
        raise ConfigurationFault("mqtt.mappings: their topics have changed", hint="restart to subscribe to them")
    house.require_store_for(policy)
    worker.adopt(policy, Chain(policy, max_payload_bytes=settings.mqtt.max_payload_bytes, mappings=mappings))
    house.__dict__ |= {"policy": policy, "mappings": mappings}
