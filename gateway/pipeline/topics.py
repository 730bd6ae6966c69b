"""Topics to controller and device. In a pattern, `{controller}` and `{device}` each stand for one level.

A mapping's pattern may have no `{controller}`, because foreign firmware knows none: then all its devices are of one.

Decides which MQTT filters are subscribed to and whom a topic names; whether that device is enrolled is for admit. The
privacy of topics is the caller's: nothing here keeps, prints or raises one.

    >>> topics = Topics(["glomska/{controller}/{device}/readings"])
    >>> topics.filters, topics.parse("glomska/nordhem/thermostat-7/readings")
    (('glomska/+/+/readings',), ('nordhem', 'thermostat-7'))
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from gateway.errors import ConfigurationFault
from gateway.model.ids import Controller, DeviceId, is_identifier

TOPIC_BYTES = 65_535
_PLACEHOLDERS = ("{controller}", "{device}")
_FORBIDDEN = "+#{}\0"


class TopicPattern:
    """One pattern. `filter` is the MQTT topic filter of all topics that it can match; they all begin with `head`."""

    __slots__ = ("_controller", "_device", "_levels", "filter", "head")

    def __init__(self, pattern: str, controller: Controller | None = None) -> None:
        """Args: `controller` for a pattern without `{controller}`. Raises ConfigurationFault with every fault."""
        faults = _faults(pattern, fixed=controller is not None)
        if faults:
            raise ConfigurationFault("\n".join(faults))
        levels = pattern.split("/")
        self._controller = levels.index("{controller}") if controller is None else controller
        self._device = levels.index("{device}")
        self._levels = [None if level in _PLACEHOLDERS else level for level in levels]
        self.filter = "/".join("+" if level is None else level for level in self._levels)
        self.head = self.filter.partition("+")[0]

    def parse(self, topic: str) -> tuple[Controller, DeviceId] | None:
        """Controller and device that `topic` names; None when it does not match, or names what is no identifier."""
        levels = topic.split("/")
        if len(levels) != len(self._levels):
            return None
        if any(own is not None and own != level for own, level in zip(self._levels, levels, strict=True)):
            return None
        controller = levels[self._controller] if isinstance(self._controller, int) else self._controller
        device = levels[self._device]
        if is_identifier(controller) and is_identifier(device):
            return Controller(controller), DeviceId(device)
        return None

    def filter_of(self, controller: Controller) -> str | None:
        """The filter of this controller's topics alone; None where the pattern is another's."""
        if not isinstance(self._controller, int):
            return self.filter if self._controller == controller else None
        levels = ["+" if level is None else level for level in self._levels]
        levels[self._controller] = controller
        return "/".join(levels)

    def topic_of(self, controller: Controller, device: DeviceId) -> str | None:
        """The topic of one device; None where the pattern is another controller's."""
        filled = self.filter_of(controller)
        if filled is None:
            return None
        levels = filled.split("/")
        levels[self._device] = device
        return "/".join(levels)

    def overlaps(self, other: TopicPattern) -> bool:
        """Whether one topic could match both patterns."""
        return len(self._levels) == len(other._levels) and all(
            a == b or a is None or b is None for a, b in zip(self._levels, other._levels, strict=True)
        )


class Topics:
    """The patterns of a configuration; no topic can match two of them, or its readings would arrive twice."""

    __slots__ = ("_patterns", "filters")

    def __init__(self, patterns: Sequence[str], mapped: Sequence[TopicPattern] = ()) -> None:
        """Args: `mapped` are those of mappings, known not to overlap. Raises ConfigurationFault with every fault."""
        faults = [fault for pattern in patterns for fault in _faults(pattern)]
        if not patterns:
            faults.append("topics: no pattern is given, so nothing would arrive; give at least one")
        if not faults:
            self._patterns = tuple(TopicPattern(pattern) for pattern in patterns)
            pairs = combinations(zip(patterns, self._patterns, strict=True), 2)
            faults = [
                f"topics: {a!r} and {b!r} can match the same topic; keep one of them"
                for (a, one), (b, two) in pairs
                if one.overlaps(two)
            ]
        if faults:
            raise ConfigurationFault("\n".join(faults))
        self._patterns += tuple(mapped)
        self.filters = tuple(pattern.filter for pattern in self._patterns)

    def filters_of(self, controller: Controller) -> tuple[str, ...]:
        """The filters of one controller's topics."""
        filters = (pattern.filter_of(controller) for pattern in self._patterns)
        return tuple(one for one in filters if one is not None)

    def topics_of(self, controller: Controller, devices: Sequence[DeviceId]) -> tuple[str, ...]:
        """Every topic on which these devices of one controller can publish."""
        topics = (pattern.topic_of(controller, device) for pattern in self._patterns for device in devices)
        return tuple(topic for topic in topics if topic is not None)

    def parse(self, topic: str) -> tuple[Controller, DeviceId] | None:
        """Controller and device that `topic` names, or None: the message is refused as `topic`."""
        for pattern in self._patterns:
            named = pattern.parse(topic)
            if named is not None:
                return named
        return None


def _faults(pattern: str, *, fixed: bool = False) -> list[str]:
    """What is wrong with a pattern, for the person who wrote the configuration; `fixed`: its controller is given."""
    levels = pattern.split("/")
    faults = [
        f"topics: {pattern!r} has {levels.count(placeholder)} levels {placeholder}; exactly one must be there"
        for placeholder in _PLACEHOLDERS[fixed:]
        if levels.count(placeholder) != 1
    ]
    if fixed and "{controller}" in levels:
        faults.append(f"topics: {pattern!r} has a level {{controller}}, and a controller is given; keep one of them")
    faults += [
        f"topics: {pattern!r}: level {level!r} contains a wildcard, a brace or NUL; only whole levels "
        "{controller} and {device} can vary"
        for level in levels
        if level not in _PLACEHOLDERS and any(character in level for character in _FORBIDDEN)
    ]
    if levels[0].startswith("$"):
        faults.append(f"topics: {pattern!r} begins with '$', which brokers keep for themselves; begin otherwise")
    if len(pattern.encode(errors="replace")) > TOPIC_BYTES:
        faults.append(f"topics: a pattern is longer than the {TOPIC_BYTES} bytes of an MQTT topic; shorten it")
    return faults
