"""Topic patterns: filters, what they name, and every fault in them at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigurationFault
from gateway.model.ids import Controller, DeviceId, is_identifier
from gateway.pipeline.topics import TopicPattern, Topics

SHIPPED = "glomska/{controller}/{device}/readings"


def test_the_shipped_pattern() -> None:
    pattern = TopicPattern(SHIPPED)
    assert pattern.filter == "glomska/+/+/readings"
    assert pattern.parse("glomska/nordhem/thermostat-7/readings") == ("nordhem", "thermostat-7")


def test_placeholders_in_any_order_and_place() -> None:
    pattern = TopicPattern("{device}/of/{controller}")
    assert pattern.filter == "+/of/+"
    assert pattern.parse("thermostat-7/of/nordhem") == ("nordhem", "thermostat-7")


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "glomska",
        "glomska/nordhem/thermostat-7",
        "glomska/nordhem/thermostat-7/readings/",
        "/glomska/nordhem/thermostat-7/readings",
        "glomska/nordhem/thermostat-7/Readings",
        "glomska/nordhem/a/b/readings",
        "glomska//thermostat-7/readings",
        "glomska/nordhem//readings",
        "glomska/nordhem/a+b/readings",
        "glomska/nordhem/#/readings",
        "glomska/nordhem/a\x00b/readings",
        "glomska/nordhem/a\nb/readings",
        "glomska/nordhem/\ud800/readings",
        "glomska/nordhem/" + "x" * 129 + "/readings",
        "glomska/nordhem/" + "å" * 65 + "/readings",
    ],
)
def test_what_names_nobody(topic: str) -> None:
    assert TopicPattern(SHIPPED).parse(topic) is None


def test_identifiers_are_taken_as_they_are() -> None:
    pattern = TopicPattern(SHIPPED)
    assert pattern.parse("glomska/ Nordhem/e\u0301 7 /readings") == (" Nordhem", "e\u0301 7 ")


@given(st.text(), st.text())
def test_two_names_come_back_exactly_when_they_are_identifiers(controller: str, device: str) -> None:
    named = TopicPattern(SHIPPED).parse(f"glomska/{controller}/{device}/readings")
    assert named == ((controller, device) if is_identifier(controller) and is_identifier(device) else None)


def test_several_patterns() -> None:
    topics = Topics([SHIPPED, "site/{device}/{controller}"])
    assert topics.filters == ("glomska/+/+/readings", "site/+/+")
    assert topics.parse("site/meter-1/nordhem") == ("nordhem", "meter-1")
    assert topics.parse("glomska/nordhem/meter-1/readings") == ("nordhem", "meter-1")
    assert topics.parse("elsewhere/nordhem/meter-1") is None


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ConfigurationFault) as caught:
        Topics(["glomska/{controller}/+/readings", "$SYS/{controller}/{device}", "a/{controller}/{device}/{device}"])
    assert str(caught.value) == (
        "topics: 'glomska/{controller}/+/readings' has 0 levels {device}; exactly one must be there\n"
        "topics: 'glomska/{controller}/+/readings': level '+' contains a wildcard, a brace or NUL; "
        "only whole levels {controller} and {device} can vary\n"
        "topics: '$SYS/{controller}/{device}' begins with '$', which brokers keep for themselves; begin otherwise\n"
        "topics: 'a/{controller}/{device}/{device}' has 2 levels {device}; exactly one must be there"
    )


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "glomska/#",
        "{controller}{device}",
        "x-{controller}/{device}",
        "{controller}/{device}/{customer}",
        "{controller}/{device}/a\x00b",
        "{controller}/{device}/" + "x" * 65_535,
        "$share/group/{controller}/{device}",
    ],
)
def test_faulty_patterns(pattern: str) -> None:
    with pytest.raises(ConfigurationFault, match=r"^topics: "):
        TopicPattern(pattern)


@pytest.mark.parametrize(
    "patterns",
    [
        (SHIPPED, SHIPPED),
        (SHIPPED, "{controller}/{device}/x/readings"),
        (SHIPPED, "glomska/{device}/{controller}/readings"),
    ],
)
def test_patterns_that_overlap_are_refused(patterns: tuple[str, str]) -> None:
    with pytest.raises(ConfigurationFault, match="can match the same topic; keep one of them"):
        Topics(patterns)


def test_no_pattern_is_a_fault() -> None:
    with pytest.raises(ConfigurationFault, match="no pattern is given"):
        Topics([])


def test_a_given_controller_stands_for_the_level_that_is_not_there() -> None:
    pattern = TopicPattern("tele/{device}/SENSOR", Controller("home"))
    assert (pattern.filter, pattern.head) == ("tele/+/SENSOR", "tele/")
    assert pattern.parse("tele/plug-1/SENSOR") == ("home", "plug-1")
    assert pattern.parse("tele/plug-1/STATE") is None
    assert pattern.parse("tele/a+b/SENSOR") is None
    assert TopicPattern("{device}/x", Controller("home")).head == ""


def test_a_given_controller_and_a_level_for_it_are_one_too_many() -> None:
    with pytest.raises(ConfigurationFault, match=r"has a level \{controller\}, and a controller is given"):
        TopicPattern("{controller}/{device}", Controller("home"))
    with pytest.raises(ConfigurationFault, match=r"has 0 levels \{controller\}"):
        TopicPattern("tele/{device}/SENSOR")


def test_patterns_of_mappings_are_subscribed_to_and_parsed_as_well() -> None:
    topics = Topics([SHIPPED], [TopicPattern("tele/{device}/SENSOR", Controller("home"))])
    assert topics.filters == ("glomska/+/+/readings", "tele/+/SENSOR")
    assert topics.parse("tele/plug-1/SENSOR") == ("home", "plug-1")
    assert topics.parse("glomska/nordhem/plug-1/readings") == ("nordhem", "plug-1")


def test_one_controllers_filters_hold_its_topics_alone() -> None:
    own, other = Controller("nordhem"), Controller("sydvatt")
    mapped = TopicPattern("zigbee2mqtt/{device}", controller=own)
    topics = Topics(["glomska/{controller}/{device}/readings", "{device}/of/{controller}"], [mapped])
    assert topics.filters_of(own) == ("glomska/nordhem/+/readings", "+/of/nordhem", "zigbee2mqtt/+")
    assert topics.filters_of(other) == ("glomska/sydvatt/+/readings", "+/of/sydvatt")


def test_topics_of_devices() -> None:
    own, other, devices = Controller("nordhem"), Controller("sydvatt"), [DeviceId("meter-1"), DeviceId("meter-2")]
    mapped = TopicPattern("zigbee2mqtt/{device}", controller=own)
    topics = Topics(["{device}/of/{controller}"], [mapped])
    named = topics.topics_of(own, devices)
    assert named == ("meter-1/of/nordhem", "meter-2/of/nordhem", "zigbee2mqtt/meter-1", "zigbee2mqtt/meter-2")
    assert [topics.parse(topic) for topic in named] == [(own, device) for device in devices] * 2
    assert topics.topics_of(other, devices[:1]) == ("meter-1/of/sydvatt",)
    assert topics.topics_of(own, []) == ()
