"""The log: one line an event, our errors in words, others by type, and a place for nobody."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import threading

from gateway.errors import KeyDestroyed
from gateway.model.ids import parse_controller
from gateway.runtime.log import Log
from tests.world import CANARY


def said(log_to: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in log_to.getvalue().splitlines()]


def test_an_event_is_one_json_object_with_its_name_first() -> None:
    out = io.StringIO()
    Log(stream=out).event("ready", subscriptions=1, store="sqlite", text="two\nlines \u2028 å")
    assert out.getvalue().startswith('{"event":"ready","time":"')
    assert len(out.getvalue().splitlines()) == 1
    (line,) = said(out)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(line["time"]))
    assert (line["level"], line["subscriptions"], line["text"]) == ("info", 1, "two\nlines \u2028 å")


def test_for_people_it_is_text_on_one_line() -> None:
    out = io.StringIO()
    Log(form="text", stream=out).event("broker", level="warning", state="lost: two\nlines")
    assert re.fullmatch(r'\S+Z WARNING broker state="lost: two\\nlines"\n', out.getvalue())


def test_less_than_the_level_is_not_said_but_for_the_outer_surface() -> None:
    out = io.StringIO()
    log = Log(level="error", stream=out)
    log.event("generation", level="debug")
    log.event("waiting", level="warning")
    log.event("ready")
    log.event("stopped", stored=3)
    assert [line["event"] for line in said(out)] == ["ready", "stopped"]


def test_our_errors_are_told_in_words_and_others_by_their_type() -> None:
    out = io.StringIO()
    teller = Log(stream=out)
    teller.error("housekeeping", KeyDestroyed("this customer's keys were destroyed"))
    teller.error("reading", ValueError(f"{CANARY}anna"))
    first, second = said(out)
    assert (first["code"], first["message"]) == ("key_destroyed", "this customer's keys were destroyed")
    assert (second["code"], second["message"]) == ("bug", "ValueError")
    assert CANARY not in out.getvalue()


def test_whose_it_is_may_be_said_of_an_organisation() -> None:
    out = io.StringIO()
    Log(stream=out).error("turnover", KeyDestroyed("gone"), level="warning", controller=parse_controller("heat-co"))
    (line,) = said(out)
    assert (line["controller"], line["level"]) == ("heat-co", "warning")


def test_lines_of_many_threads_do_not_mix() -> None:
    out = io.StringIO()
    log = Log(stream=out)

    def tell() -> None:
        for n in range(200):
            log.event("e", n=n)

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(said(out)) == 800


class Full(io.StringIO):
    """A disk without room."""

    def write(self, _text: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_or_a_closed_pipe_stops_no_reading() -> None:
    Log(stream=Full()).event("ready")
    out = io.StringIO()
    log = Log(stream=out)
    log.event("ready")
    assert len(said(out)) == 1
    out.close()
    log.event("stopped")


def test_a_line_is_one_write_since_workers_share_where_it_goes() -> None:
    class Unbuffered(io.StringIO):
        writes = 0

        def write(self, text: str) -> int:
            self.writes += 1
            return super().write(text)

    out = Unbuffered()
    Log(stream=out).event("reload", worker=1)
    assert (out.writes, out.getvalue()[-1]) == (1, "\n")
