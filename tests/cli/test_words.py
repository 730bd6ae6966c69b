"""Words in, a message and an exit code out: everything about a call that needs no process of its own."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.cli.failure import report
from gateway.cli.main import call
from gateway.cli.times import moment
from gateway.control.enrolment_file import COLUMNS, REASONS, EnrolmentFile
from gateway.errors import UsageFault
from gateway.policy.areas import Areas
from tests.cli.conftest import YESTERDAY, Home

NOW = 10**18
DAY = 86_400 * 10**9
SECRET = "kanariefågel-anna"
AREAS = Areas((10000,), (98499,), ("SE3",))

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(home: Home, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Say:
    """`glomska` with these words and this stdin, in this process: exit code, stdout, stderr."""
    for name, value in home.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(home.directory)

    def said(*words: str, stdin: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = call(list(words))
        return (code, *capfd.readouterr())

    return said


@pytest.mark.parametrize(
    ("words", "stdin", "message"),
    [
        (["forget"], b"", "no such command 'forget'"),
        (["policy"], b"", "missing command"),
        (["run", "--fast"], b"", "no such option: --fast"),
        (["read", "--purpose", "support", "--config"], b"", "option '--config' requires an argument"),
        (["read", "-"], b"anna", "missing option '--purpose'"),
        (["read", "-", SECRET, "--purpose", "support"], b"anna", "there are more arguments than this command takes"),
        (["read", "--purpose", "support"], b"", "no subject was given"),
        (["read", "-", "--purpose", "support", "--from", "tomorrow"], b"anna", "--from: this is no time"),
        (["read", "-", "--purpose", "support", "--to", "-1d"], b"anna", "--from is not before --to"),
        (
            ["read", "-", "--purpose", "support", "--follow", "--to", "2030-01-01"],
            b"anna",
            "--follow goes on",
        ),
        (
            ["read", "-", "--purpose", "support", "--follow", "--format", "parquet"],
            b"anna",
            "--follow goes on",
        ),
        (["read", "@nowhere", "--purpose", "support"], b"", "the file with the subject cannot be read: no such file"),
        (["read", "-", "--purpose", "support"], b"a/b/c", "this is not a subject"),
        (["read", "-", "--purpose", "support"], b"anna\nbo\n", "there is more than one subject"),
        (["read", "-", "--purpose", "support"], b"\xff", "the subject is not UTF-8"),
        (["read", "-", "--purpose", "support"], b"\n", "the subject is empty"),
        (["read", "-", "--purpose", "support"], b"an+na", "this is not a customer"),
        (["read", "-", "--purpose", "support"], b"x" * 2000, "there is more than one subject"),
        (["enrol", "--csv", "."], b"", "the file cannot be read: is a directory"),
        (["enrol", "--csv", "-"], b"", "the first line does not name the columns"),
    ],
)
def test_a_wrong_call_says_what_and_what_next(say: Say, words: list[str], stdin: bytes, message: str) -> None:
    code, out, err = say(*words, stdin=stdin)
    first, second = err.splitlines()
    assert (code, out) == (2, "")
    assert first.startswith(f"glomska: {message}")
    assert second.startswith("next: ")
    assert SECRET not in err


def test_with_json_a_wrong_call_is_an_object(say: Say) -> None:
    code, out, err = say("read", "-", "--format", "xml", "--purpose", "support", "--json", stdin=b"anna")
    assert (code, err) == (2, "")
    assert json.loads(out) == {
        "error": {
            "code": "usage",
            "message": "invalid value for '--format': 'xml' is not one of 'table', 'csv', 'json', 'parquet'",
            "hint": "see `glomska read --help`",
            "retryable": False,
        }
    }


def test_blanks_belong_to_a_subject(say: Say) -> None:
    assert say("read", "-", "--purpose", "support", stdin=b" anna")[0] == 6
    assert say("read", "-", "--purpose", "support", stdin=b"demo/anna\r\n")[0] == 0


def test_of_two_controllers_one_must_be_named(say: Say) -> None:
    line = b"controller,customer,device,postal_code,valid_from\nother,anna,meter-1,11122,\n"
    assert say("enrol", "--csv", "-", stdin=line)[:2] == (0, "1 enrolled, 0 already there, 0 refused\n")
    code, _, err = say("read", "-", "--purpose", "support", stdin=b"anna")
    assert (code, err.splitlines()[0]) == (2, "glomska: this key store has 2 controllers")
    assert say("read", "-", "--purpose", "support", stdin=b"nobody/anna")[0] == 6


def test_help_without_words(say: Say) -> None:
    code, out, _ = say()
    assert (code, out.startswith("Usage: glomska [OPTIONS] COMMAND")) == (0, True)


def test_completion_knows_the_purposes(home: Home) -> None:
    line = "_GLOMSKA_COMPLETE=complete_bash COMP_WORDS='glomska read --purpose s' COMP_CWORD=3 glomska"
    said, _ = home.shell(line)
    assert [word.split("\t")[0] for word in said.split()] == ["support", "security", "statutory"]


def test_a_defect_is_told_by_type_and_place_alone(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        moment(f"{SECRET}T00:00:00Z")
        raise AssertionError

    for debug in ("", "1"):
        monkeypatch.setenv("GLOMSKA_DEBUG", debug)
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - any
            broken()
        caught.value.args = (SECRET,)
        assert report(caught.value, as_json=False) == 1
        err = capfd.readouterr().err
        assert SECRET not in err
        assert err.startswith("glomska: internal error: ValueError at gateway/cli/times.py:")
        assert ("\n  gateway/cli/times.py:" in err) is bool(debug)


def test_ctrl_c_is_130(capfd: pytest.CaptureFixture[str]) -> None:
    assert report(KeyboardInterrupt(), as_json=True) == 130
    assert json.loads(capfd.readouterr().out)["error"]["code"] == "interrupted"


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("now", NOW),
        ("-90s", NOW - 90 * 10**9),
        ("-90m", NOW - 5400 * 10**9),
        ("-24h", NOW - DAY),
        ("-1w", NOW - 7 * DAY),
        ("-999999999w", 0),
        ("1970-01-02", DAY),
        ("1970-01-01T01:00:00.000000001+01:00", 1),
    ],
)
def test_times(text: str, ns: int) -> None:
    assert moment(text, now=NOW) == ns


@pytest.mark.parametrize(
    "text", ["", "1d", "-1y", "+1d", "1969-12-31", "2026-02-30", "2026-01-31 12:00", "-1d ", "٢٠٢٦-01-31"]
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(malformed|too_old)$"):
        moment(text, now=NOW)


@pytest.mark.parametrize("text", ["now", "-1d"])
def test_a_file_has_no_relative_times(text: str) -> None:
    with pytest.raises(ValueError, match="malformed"):
        moment(text)


def lines(*cells: str, header: str = ",".join(COLUMNS)) -> EnrolmentFile:
    data = "\n".join([header, *cells]).encode("utf-8", "surrogateescape")
    return EnrolmentFile(io.BytesIO(data), AREAS, now=NOW, moment=moment)


def test_a_line_of_the_enrolment_file() -> None:
    (line,) = lines(
        " d ,c, a+b,11122 ,2026-01-31".replace("a+b", "å"), header="device,controller,customer,postal_code,valid_from"
    )
    assert (line.device, line.controller, line.customer, line.area) == (" d ", "c", " å", "SE3")
    assert (line.line, line.valid_from, line.purposes) == (2, 1_769_817_600 * 10**9, ())


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ("c,k,d,11122", "columns"),
        ("c,k,d,11122,,", "columns"),
        ('c,"k,d,11122,', "quotes"),
        ('c,"k"k,d,11122,', "quotes"),
        ("c,k\udcff,d,11122,", "encoding"),
        (",k,d,11122,", "identifier"),
        ("c,k/l,d,11122,", "identifier"),
        ("c,k," + "d" * 129 + ",11122,", "identifier"),
        ("c,k,d\0,11122,", "identifier"),
        ("c,k,d,1112,", "postal_code"),
        ("c,k,d,99999,", "postal_code"),
        ("c,k,d,11122,soon", "valid_from"),
        ("c,k,d,11122,-1d", "valid_from"),
        ("c,k,d,11122, ", "valid_from"),
    ],
)
def test_a_line_is_refused_by_number_and_reason_and_the_others_are_not(cells: str, reason: str) -> None:
    file = lines("c,k,d1,11122,", "", cells, "c,k,d2,11122,")
    assert [line.device for line in file] == ["d1", "d2"]
    assert file.refused == [(4, reason)]
    assert reason in REASONS


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("", "does not name the columns: no controller, customer, device, postal_code, valid_from"),
        (f"demo,{SECRET},d,11122,", "does not name the columns: no controller"),
        (";".join(COLUMNS), "does not name the columns"),
        ("controller,customer,device,postal_code", "does not name the columns: no valid_from"),
        (",".join(COLUMNS) + ",telephone", "names 1 unknown column"),
        (",".join(COLUMNS) + ",device", "names a column twice"),
        ('"controller,customer', "does not name the columns"),
    ],
)
def test_a_first_line_that_names_other_columns(header: str, message: str) -> None:
    with pytest.raises(UsageFault, match=message) as caught:
        lines("c,k,d,11122,", header=header)
    assert SECRET not in str(caught.value) + caught.value.hint


def test_a_spreadsheet_of_another_encoding() -> None:
    data = ",".join(COLUMNS).encode("utf-16")
    with pytest.raises(UsageFault, match="does not name the columns"):
        EnrolmentFile(io.BytesIO(data), AREAS, now=NOW, moment=moment)


def test_purposes_stand_between_semicolons_or_blanks() -> None:
    header = ",".join(COLUMNS) + ",purposes"
    file = lines("c,k,d,11122,,a; b c;;d ", "c,k,d,11122,,", header=header)
    assert [line.purposes for line in file] == [("a", "b", "c", "d"), ()]


def test_a_hundred_thousand_lines_are_read_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    path.write_text(",".join(COLUMNS) + "\n" + "".join(f"c,k{n},d{n},11122,\n" for n in range(100_000)))
    with path.open("rb") as stream:
        file = iter(EnrolmentFile(stream, AREAS, now=NOW, moment=moment))
        assert next(file).device == "d0"
        assert stream.tell() < 100_000
        assert sum(1 for _ in file) == 99_999


def test_nobody_is_exit_code_6(say: Say) -> None:
    code, out, _ = say("erase", "-", "--yes", "--json", stdin=b"demo/nobody")
    assert (code, json.loads(out)["error"]["code"]) == (6, "unknown_subject")
    code, out, _ = say("read", "-", "--purpose", "support", "--json", stdin=b"nobody/anna")
    assert (code, json.loads(out)["error"]["code"]) == (6, "unknown_subject")


def test_an_unknown_purpose_is_exit_code_5(say: Say) -> None:
    code, out, _ = say("read", "-", "--purpose", "curiosity", "--format", "csv", "--json", stdin=b"anna")
    assert (code, json.loads(out)["error"]["code"]) == (5, "refused")


def test_an_interval_contains_its_beginning_and_not_its_end(say: Say) -> None:
    def times(start: str, end: str) -> list[str]:
        words = ("read", "-", "--purpose", "support", "--json", "--from", f"{YESTERDAY}T{start}")
        code, out, _ = say(*words, "--to", f"{YESTERDAY}T{end}", stdin=b"anna")
        assert code == 0
        return [reading["time"] for reading in json.loads(out)]

    assert times("12:15:00.25Z", "12:15:00.250000001Z") == [f"{YESTERDAY}T12:15:00.250Z"]
    assert times("12:00:00.000000001Z", "12:15:00.25Z") == []


def test_a_subject_on_the_command_line_erases_nobody(say: Say) -> None:
    code, _, err = say("erase", "demo/anna", "--yes")
    assert (code, "anna" in err) == (2, False)
    assert say("read", "-", "--purpose", "support", stdin=b"anna")[0] == 0
