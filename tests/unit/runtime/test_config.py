"""One tree from file and environment; every fault at once; no secret anywhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.certificates import Authority
from gateway.errors import ConfigurationFault
from gateway.policy.areas import load_areas
from gateway.policy.load import load_policy
from gateway.runtime import config
from gateway.runtime.config import SECTIONS, Paths, load_settings, resource
from gateway.runtime.reference import reference
from gateway.runtime.secret import read_secret

ROOT = Path(__file__).parents[3]
INSTALLED = Path(config.__file__).parents[1] / "config"  # where a wheel has it; a checkout has it at its root
SHIPPED = (INSTALLED if INSTALLED.is_dir() else ROOT / "config") / "gateway.toml"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees this machine's own configuration or state."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(config, "SYSTEM_CONFIG", tmp_path / "etc" / "gateway.toml")
    monkeypatch.setattr(config, "SYSTEM_STATE", tmp_path / "var")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    return tmp_path


def written(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def faults_of(file: Path | None = None, /, **environ: str) -> list[str]:
    with pytest.raises(ConfigurationFault) as raised:
        load_settings(file, environ=environ)
    assert raised.value.exit_code == 3
    return str(raised.value).split("\n  ")[1:]


def test_the_shipped_file_works_as_it_is_and_says_what_the_defaults_are(elsewhere: Path) -> None:
    shipped, empty = load_settings(SHIPPED, environ={}), load_settings(written(elsewhere / "empty.toml"), environ={})
    for section in SECTIONS:
        assert getattr(shipped, section) == getattr(empty, section)
    assert load_policy(shipped.policy).schema == 1
    assert load_areas(shipped.areas).area("111 22") == "SE3"


def test_the_shipped_file_shows_every_key_that_there_is_and_no_other() -> None:
    shown: dict[str, set[str]] = {"": set()}
    section = ""
    for line in SHIPPED.read_text(encoding="utf-8").splitlines():
        if match := re.fullmatch(r"\[(\w+)\]", line):
            section = match[1]
            shown[section] = set()
        elif match := re.match(r"(?:# )?(\w+) = ", line):
            shown[section].add(match[1])
    assert shown == {name: set(table.model_fields) for name, table in (SECTIONS | {"": Paths}).items()}


def test_what_the_shipped_file_has_switched_off_can_be_switched_on(elsewhere: Path) -> None:
    text = re.sub(r"^# (\w+ = )", r"\1", SHIPPED.read_text(encoding="utf-8"), flags=re.MULTILINE)
    written(elsewhere / "areas.csv")
    for secret in ("mqtt.password", "store.password", "store.token", "keys.password", "token.pin", "recovery.pin"):
        written(elsewhere / secret, "p").chmod(0o600)
    Authority(elsewhere).issue("gateway")
    text = text.replace("mqtt://localhost", "mqtts://localhost").replace('per = "gateway"', 'per = "controller"')
    text = text.replace('standbys = ["glomska-standby"]', "standbys = []")  # of a file there are none
    switched = load_settings(written(elsewhere / "gateway.toml", text), environ={})
    assert switched.areas == elsewhere / "areas.csv"
    assert switched.state == Path("/var/lib/glomska")
    assert switched.mqtt.password_file == elsewhere / "mqtt.password"
    assert switched.mqtt.key_file == elsewhere / "gateway.key"
    assert switched.store.password_file == elsewhere / "store.password"
    assert switched.store.token_file == elsewhere / "store.token"
    assert switched.keys.password_file == elsewhere / "keys.password"
    assert switched.keys.recovery_pin_file == elsewhere / "recovery.pin"
    assert tomllib.loads(text)["mqtt"]["port"] == switched.mqtt.address[1]


def test_files_are_searched_in_the_order_of_the_contract(elsewhere: Path) -> None:
    def client(file: Path | None = None, **environ: str) -> str:
        return load_settings(file, environ=environ).mqtt.client_id

    def named(path: str) -> Path:
        return written(elsewhere / path, f'[mqtt]\nclient_id = "{Path(path).parent.name}"')

    assert load_settings(environ={}).file == SHIPPED
    named("etc/gateway.toml")
    assert client() == "etc"
    named("config/gateway.toml")
    assert client() == "config"
    by_variable = str(named("variable/gateway.toml"))
    assert client(GLOMSKA_CONFIG=by_variable) == "variable"
    assert client(named("option/gateway.toml"), GLOMSKA_CONFIG=by_variable) == "option"


def test_a_file_that_was_named_is_not_replaced_when_it_is_missing(elsewhere: Path) -> None:
    written(elsewhere / "config/gateway.toml")
    with pytest.raises(ConfigurationFault, match=r"absent\.toml: cannot be read: no such file"):
        load_settings(environ={"GLOMSKA_CONFIG": "absent.toml"})


def test_syntax_errors_name_file_and_line(elsewhere: Path) -> None:
    with pytest.raises(ConfigurationFault, match=r"bad\.toml: not toml: invalid value \(at line 2, the last\)"):
        load_settings(written(elsewhere / "bad.toml", "[mqtt]\nurl = "), environ={})


def test_state_is_the_key_else_the_system_directory_if_it_exists_else_the_users_own(elsewhere: Path) -> None:
    file = written(elsewhere / "a" / "gateway.toml", 'state = "here"')
    assert load_settings(environ={}).state == elsewhere / "xdg" / "glomska"
    (elsewhere / "var").mkdir(mode=0o500)
    assert load_settings(environ={}).state == elsewhere / "var"
    assert load_settings(file, environ={}).state == elsewhere / "a" / "here"
    assert load_settings(file, environ={"GLOMSKA_STATE": "there"}).state == elsewhere / "there"
    assert load_settings(file, environ={"GLOMSKA_STATE": "/there"}).state == Path("/there")


def test_the_policy_lies_beside_the_file_and_never_falls_back_to_ours(elsewhere: Path) -> None:
    file = written(elsewhere / "a" / "gateway.toml")
    assert load_settings(file, environ={}).policy == elsewhere / "a" / "policy.toml"
    assert load_settings(file, environ={"GLOMSKA_POLICY": "p.toml"}).policy == elsewhere / "p.toml"


def test_every_kind_of_value_can_come_from_the_environment_and_outweighs_the_file(elsewhere: Path) -> None:
    file = written(elsewhere / "gateway.toml", '[mqtt]\nurl = "mqtt://localhost:1"\nport = 2\n[log]\nlevel = "error"')
    loaded = load_settings(
        file,
        environ={
            "GLOMSKA_MQTT__PORT": "8883",
            "GLOMSKA_MQTT__CLIENT_ID": "7",
            "GLOMSKA_MQTT__ALLOW_PLAINTEXT": "true",
            "GLOMSKA_MQTT__TOPICS": '["a/{controller}/{device}"]',
            "GLOMSKA_STORE__TIMEOUT_S": "2",
            "GLOMSKA_LOG__FORMAT": "text",
            "GLOMSKA_TEST_INFLUXDB2": "/usr/bin/influxd",
            "UNRELATED": "x",
        },
    )
    assert loaded.mqtt.address == ("localhost", 8883)
    assert (loaded.mqtt.client_id, loaded.mqtt.allow_plaintext) == ("7", True)
    assert loaded.mqtt.topics == ("a/{controller}/{device}",)
    assert (loaded.store.timeout_s, loaded.log.level, loaded.log.format) == (2.0, "error", "text")


def test_a_value_from_the_environment_cannot_bring_other_keys_with_it() -> None:
    assert faults_of(GLOMSKA_STORE__BATCH_MS="1\nbatch_points = 2")[0].startswith("GLOMSKA_STORE__BATCH_MS: store.ba")


FAULTS = {
    (
        "MQTT__URL",
        "wss://broker:8883",
    ): 'url: found "wss://broker:8883"; allowed: mqtts://HOST:PORT or mqtt://HOST:PORT with a p',
    (
        "MQTT__URL",
        "mqtt://broker",
    ): 'url: found "mqtt://broker"; allowed: mqtts://, a broker on this machine, or allow_plaint',
    (
        "MQTT__URL",
        "mqtt://localhost:0",
    ): 'url: found "mqtt://localhost:0"; allowed: mqtts://HOST:PORT or mqtt://HOST:PO',
    (
        "MQTT__URL",
        "mqtt://localhost:70000",
    ): 'url: found "mqtt://localhost:70000"; allowed: mqtts://HOST:PORT',
    ("MQTT__URL", "localhost:1883"): 'url: found "localhost:1883"; allowed: mqtts://HOST:PORT',
    ("MQTT__URL", "mqtt://"): 'url: found "mqtt://"; allowed: mqtts://HOST:PORT',
    ("MQTT__URL", "mqtt://localhost/path"): 'url: found "mqtt://localhost/path"; allowed: mqtts://HOST:PORT',
    ("MQTT__URL", "mqtt://[::1"): 'url: found "mqtt://[::1"; allowed: mqtts://HOST:PORT',
    ("MQTT__PORT", "0"): "port: found 0; allowed: a whole number from 1 to 65535",
    ("MQTT__VERSION", "3.1"): 'version: found "3.1"; allowed: "5", "3.1.1"',
    ("MQTT__CLIENT_ID", ""): 'client_id: found ""; allowed: text like',
    ("MQTT__TOPICS", "glomska/#"): 'topics: found "glomska/#"; allowed: a list',
    ("MQTT__TOPICS", "[]"): "topics: no pattern is given",
    ("MQTT__TOPICS", '["a/{device}"]'): "topics: 'a/{device}' has 0 levels {controller}; exactly one must be there",
    ("MQTT__ALLOW_PLAINTEXT", "yes"): 'allow_plaintext: found "yes"; allowed: true, false',
    (
        "MQTT__PASSWORD_FILE",
        "/nowhere/p",
    ): "password_file: found no readable file (no such file or directory); allowed: a",
    ("MQTT__KEEP_ALIVE_S", "0"): "keep_alive_s: found 0; allowed: a whole number from 5 to 65535",
    ("MQTT__SESSION_EXPIRY_S", "0"): "session_expiry_s: found 0; allowed: a whole number from 1 to 4294967295",
    ("MQTT__RECEIVE_MAXIMUM", "65536"): "receive_maximum: found 65536; allowed: a whole number from 1 to 65535",
    ("MQTT__MAX_PAYLOAD_BYTES", "1.5"): "max_payload_bytes: found 1.5; allowed: a whole number from 64 to 16777216",
    (
        "STORE__URL",
        "influxdb2+http://localhost:8086",
    ): 'url: found "influxdb2+http://localhost:8086"; allowed: sqlite://',
    ("STORE__URL", "sqlite:///"): 'url: found "sqlite:///"; allowed: sqlite:///FILE',
    ("STORE__URL", "sqlite:///keys.db"): "url: found the database of keys.url; allowed: one of its own",
    ("STORE__TIMEOUT_S", "0"): "timeout_s: found 0; allowed: a number from 0.1 to 300",
    ("STORE__TIMEOUT_S", "nan"): "timeout_s: found NaN; allowed: a number from 0.1 to 300",
    ("STORE__BATCH_POINTS", "0"): "batch_points: found 0; allowed: a whole number from 1 to 100000",
    ("STORE__BATCH_MS", "ten"): 'batch_ms: found "ten"; allowed: a whole number from 1 to 10000',
    ("KEYS__URL", "mysql://db/keys"): 'url: found "mysql://db/keys"; allowed: sqlite:///FILE or postgresql://USER@HOST',
    ("KEYS__URL", "postgresql://u:hunter2@localhost/keys"): "url: found text with '@', not shown because it may",
    ("KEYS__URL", "postgresql://db/keys"): 'url: found "postgresql://db/keys"; allowed: ?sslmode=verify-full, a server',
    ("KEYS__PASSWORD_FILE", "absent"): "password_file: found no readable file (no such file or directory); allowed",
    (
        "KEYS__CUSTODIAN",
        "pkcs11:token=x",
    ): 'custodian: found "pkcs11:token=x"; allowed: file:DIRECTORY or pkcs11:token=',
    (
        "KEYS__CUSTODIAN",
        "pkcs11:token=x;module=y.so",
    ): "custodian: found a token; allowed: a token whose PIN is in",
    ("KEYS__PIN_FILE", "absent"): "pin_file: found no readable file (no such file or directory); allowed: a file",
    ("KEYS__RECOVERY", "file:"): 'recovery: found "file:"; allowed: file:DIRECTORY or pkcs11:token=LABEL;module=FILE',
    ("KEYS__RECOVERY", "file:kek"): "recovery: found the custodian itself; allowed: another one, kept elsewhere",
    ("KEYS__STANDBYS", '["hall"]'): "standbys: found names; allowed: none, since a key store in a file has no standbys",
    ("KEYS__LEASE_S", "0"): "lease_s: found 0; allowed: a whole number from 1 to 3600",
    ("KEYS__LEASE_S", "3601"): "lease_s: found 3601; allowed: a whole number from 1 to 3600",
    ("KEYS__POLL_MS", "0"): "poll_ms: found 0; allowed: a whole number from 10 to 10000",
    ("LEDGER__ELSEWHERE", "true"): "elsewhere: found true; allowed: false, since the key store of keys.url is a file",
    ("LEDGER__PATH", ""): 'path: found ""; allowed: text, not empty',
    ("LOG__LEVEL", "loud"): 'level: found "loud"; allowed: "debug", "info", "warning", "error"',
    ("LOG__FORMAT", "xml"): 'format: found "xml"; allowed: "json", "text"',
    ("LOG__COLOUR", "red"): "colour: found an unknown key; allowed: format, level",
}


@pytest.mark.parametrize(("variable", "value"), FAULTS, ids=[" ".join(given) for given in FAULTS])
def test_a_fault_names_the_variable_the_key_what_was_found_and_what_is_allowed(variable: str, value: str) -> None:
    section = variable.partition("__")[0].lower()
    told = f"GLOMSKA_{variable}: {section}.{FAULTS[variable, value]}"
    assert any(line.startswith(told) for line in faults_of(**{f"GLOMSKA_{variable}": value}))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "surprise = 1",
            (
                "surprise: found an unknown key; "
                "allowed: state, policy, areas, mqtt, store, spool, keys, dead_letters, ledger, limits, log"
            ),
        ),
        ("mqtt = 3", "mqtt: found 3; allowed: a table"),
        ("state = 3", "state: found 3; allowed: text, not empty"),
        ("[mqtt]\nurl = 3", "mqtt.url: found 3; allowed: text"),
        ("[mqtt]\nport = true", "mqtt.port: found true; allowed: a whole number from 1 to 65535"),
        ('[keys]\nlease_s = "30"', 'keys.lease_s: found "30"; allowed: a whole number from 1 to 3600'),
        ("[mqtt]\ntopics = [3]", "mqtt.topics.0: found 3; allowed: a list"),
        ("[keys]\nlease_s = 1\npoll_ms = 501", "keys.poll_ms: found 501; allowed: at most half the lease of 1 s"),
    ],
)
def test_a_fault_in_the_file_names_the_file(elsewhere: Path, text: str, told: str) -> None:
    file = written(elsewhere / "gateway.toml", text)
    assert [line[: len(f"{file}: {told}")] for line in faults_of(file)] == [f"{file}: {told}"]


def test_faults_of_file_and_environment_and_between_keys_are_reported_together(elsewhere: Path) -> None:
    file = written(
        elsewhere / "g.toml", 'x = 1\n[mqtt]\nkeep_alive_s = 0\n[store]\nurl = "sqlite:///keys.db"\nbatch_ms = 0'
    )
    lines = faults_of(file, GLOMSKA_MQTT__URL="mqtt://broker", GLOMSKA_LOG__LEVEL="loud", GLOMSKA_Y="")
    assert sorted(line.split(": ")[1] for line in lines) == [
        "log.level",
        "mqtt.keep_alive_s",
        "mqtt.url",
        "store.batch_ms",
        "store.url",
        "x",
        "y",
    ]


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("postgresql://glomska@localhost:5432/keys", False),
        ("postgresql://127.0.0.1,[::1]:5433/keys", False),
        ("postgresql:///keys?host=/run/postgresql", False),
        ("postgresql:///keys?host=db.example", True),
        ("postgresql://localhost,db.example/keys", True),
        ("postgresql://db.example/keys?sslmode=require", True),
        ("postgresql://db.example/keys?sslmode=verify-full", False),
        ("postgresql://db.example/keys?sslmode=verify-full&sslmode=disable", True),
    ],
)
def test_a_key_store_elsewhere_is_verified_or_asked_for(url: str, asked: bool) -> None:
    if asked:
        assert "keys.url: found " in faults_of(GLOMSKA_KEYS__URL=url)[0]
    loaded = load_settings(environ={"GLOMSKA_KEYS__URL": url, "GLOMSKA_KEYS__ALLOW_PLAINTEXT": str(asked).lower()})
    assert loaded.keys.crosses_network is asked


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"])
def test_plaintext_is_allowed_to_this_machine(host: str) -> None:
    assert load_settings(environ={"GLOMSKA_MQTT__URL": f"mqtt://{host}:1884"}).mqtt.address[1] == 1884


@pytest.mark.parametrize("host", ["broker", "192.168.0.1", "0.0.0.0", "localhost.example", "[2001:db8::1]"])  # noqa: S104 - refused
def test_plaintext_to_another_machine_needs_to_be_asked_for(host: str) -> None:
    remote = {"GLOMSKA_MQTT__URL": f"mqtt://{host}"}
    assert faults_of(**remote)[0].startswith("GLOMSKA_MQTT__URL: mqtt.url: found ")
    asked = load_settings(environ=remote | {"GLOMSKA_MQTT__ALLOW_PLAINTEXT": "true"})
    assert asked.mqtt.address == (host.strip("[]"), 1883)


def test_a_broker_elsewhere_is_reached_by_tls_at_its_own_port() -> None:
    loaded = load_settings(environ={"GLOMSKA_MQTT__URL": "mqtts://broker"})
    assert loaded.mqtt.address == ("broker", 8883)
    assert loaded.mqtt.tls() is not None


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"CA_FILE": "absent.crt"}, r"url: ca_file .*absent\.crt: cannot be read: no such file or directory"),
        ({"CA_FILE": "empty.crt"}, r"url: ca_file .*empty\.crt: no PEM that can be used"),
        ({"CERTIFICATE_FILE": "gateway.crt"}, "key_file: found nothing; allowed: a file: certificate and key go"),
        ({"KEY_FILE": "gateway.key"}, "certificate_file: found nothing; allowed: a file: certificate and key go"),
        ({"CERTIFICATE_FILE": "gateway.crt", "KEY_FILE": "other.key"}, "this is not the key of this certificate"),
        ({"CERTIFICATE_FILE": "gateway.crt", "KEY_FILE": "locked.key"}, "the key is under a password"),
        ({"CERTIFICATE_FILE": "gateway.crt", "KEY_FILE": "open.key"}, "key_file: found a file that others may use"),
        ({"URL": "mqtt://localhost", "CA_FILE": "ca.crt"}, "ca_file: found a file; allowed: nothing, or a url"),
    ],
)
def test_tls_files_that_cannot_serve_are_named(elsewhere: Path, keys: dict[str, str], told: str) -> None:
    authority = Authority(elsewhere)
    key = load_pem_private_key(authority.issue("gateway").key.read_bytes(), None)
    authority.issue("other")
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hunter2"))
    for name, content, mode in (("locked.key", locked, 0o600), ("open.key", b"k", 0o640), ("empty.crt", b"", 0o600)):
        (elsewhere / name).write_bytes(content)
        (elsewhere / name).chmod(mode)
    variables = {f"GLOMSKA_MQTT__{name}": value for name, value in ({"URL": "mqtts://broker"} | keys).items()}
    (line,) = faults_of(**variables)
    assert re.search(told, line)


@pytest.mark.parametrize(
    "variable", ["MQTT__URL", "STORE__URL", "KEYS__URL", "MQTT__PASSWORD", "PASSWORD", "MQTT__PORT"]
)
def test_a_secret_in_the_wrong_place_is_refused_and_not_shown(variable: str) -> None:
    value = "influxdb1+http://glomska:hunter2@localhost:8086/db"
    lines = faults_of(**{f"GLOMSKA_{variable}": value})
    assert len(lines) == 1
    assert "hunter2" not in lines[0]


def test_a_password_comes_from_a_file_and_stays_out_of_the_tree(elsewhere: Path) -> None:
    secret = written(elsewhere / "a" / "password", "hunter2\n")
    secret.chmod(0o600)
    file = written(elsewhere / "a" / "g.toml", '[mqtt]\nusername = "g"\npassword_file = "password"')
    loaded = load_settings(file, environ={})
    assert loaded.mqtt.password_file == secret
    assert read_secret(secret) == b"hunter2"
    assert "hunter2" not in repr(loaded)


@pytest.mark.parametrize(
    ("content", "mode", "told"),
    [
        ("hunter2", 0o640, "found a file that others may use; allowed: mode 0600"),
        ("hunter2", 0o604, "found a file that others may use; allowed: mode 0600"),
        ("\n", 0o600, "found an empty file; allowed: the secret alone"),
    ],
)
def test_a_secret_that_others_may_read_or_that_is_empty_is_refused(
    elsewhere: Path, content: str, mode: int, told: str
) -> None:
    secret = written(elsewhere / "password", content)
    secret.chmod(mode)
    lines = faults_of(GLOMSKA_MQTT__PASSWORD_FILE="password", GLOMSKA_MQTT__USERNAME="g")
    assert lines == [f"GLOMSKA_MQTT__PASSWORD_FILE: mqtt.password_file: {told}"]
    with pytest.raises(ConfigurationFault, match=re.escape(f"{secret}: {told}")):
        read_secret(secret)


def test_a_password_needs_a_name(elsewhere: Path) -> None:
    written(elsewhere / "password", "hunter2").chmod(0o600)
    (line,) = faults_of(GLOMSKA_MQTT__PASSWORD_FILE="password")
    assert line == f"{SHIPPED}: mqtt.username: found nothing; allowed: a name, since there is a password_file"


def test_the_tree_is_frozen() -> None:
    loaded = load_settings(environ={})
    with pytest.raises(AttributeError):
        loaded.state = Path("/elsewhere")  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        loaded.mqtt.port = 1


def test_packaged_files_are_found_and_a_missing_one_is_a_fault() -> None:
    assert resource("gateway.toml") == SHIPPED
    with pytest.raises(ConfigurationFault, match=r"the installation lacks its file absent\.toml"):
        resource("absent.toml")


def test_inside_a_package_its_own_files_come_first(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = written(elsewhere / "site" / "gateway" / "config" / "gateway.toml")
    written(elsewhere / "site" / "config" / "gateway.toml")
    monkeypatch.setattr(config, "__file__", str(elsewhere / "site" / "gateway" / "runtime" / "config.py"))
    assert resource("gateway.toml") == inside


def test_the_reference_is_current() -> None:
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == reference(), (
        "run: python -m gateway.runtime.reference > docs/configuration.md"
    )


VARIABLES = [f"GLOMSKA_{s}__{k}".upper() for s, table in SECTIONS.items() for k in table.model_fields]
VALUES = st.text(max_size=12) | st.sampled_from(
    ["0", "1", "true", "[]", '["a/{controller}/{device}"]', "mqtt://::1", "/"]
)


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.sampled_from(VARIABLES), VALUES, max_size=4))
def test_whatever_the_environment_says_is_a_tree_or_a_fault_of_a_named_variable(environ: dict[str, str]) -> None:
    try:
        told = repr(load_settings(SHIPPED, environ=environ))
    except ConfigurationFault as fault:
        told = str(fault)
    assert told.startswith("Settings(") or any(f"  {variable}: " in told for variable in environ)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            'url = "influxdb2+http://localhost/org/b"',
            "store.token_file: found nothing; allowed: a file with an API token, which InfluxDB 2.x asks for",
        ),
        (
            'url = "influxdb2+http://localhost/b"',
            'store.url: found "influxdb2+http://localhost/b"; allowed: sqlite:///FILE, influxdb1+http',
        ),
        ('url = "victoriametrics+http://h:1/db"', 'store.url: found "victoriametrics+http://h:1/db"; allowed: sqlite'),
        ('username = "u"', "store.username: found one without the other"),
        ('password_file = "p"', "store.username: found one without the other"),
        ('token_file = "absent"', "store.token_file: found no readable file (no such file or directory)"),
    ],
)
def test_a_fault_of_the_store_is_named(elsewhere: Path, text: str, said: str) -> None:
    written(elsewhere / "p", "secret").chmod(0o600)
    path = written(elsewhere / "gateway.toml", f"[store]\n{text}\n")
    assert any(line.startswith(f"{path}: {said}") for line in faults_of(path))


@pytest.mark.parametrize(
    ("url", "more", "ok"),
    [
        ("influxdb2+http://localhost/org/b", "", True),
        ("influxdb2+http://[::1]:8086/org/b", "", True),
        ("influxdb2+https://far/org/b", "", True),
        ("influxdb2+http://far/org/b", "", False),
        ("influxdb2+http://far/org/b", "allow_plaintext = true", True),
    ],
)
def test_a_token_crosses_a_network_unencrypted_only_when_asked_to(
    elsewhere: Path, url: str, more: str, *, ok: bool
) -> None:
    written(elsewhere / "t", "token-of-the-test").chmod(0o600)
    path = written(elsewhere / "gateway.toml", f'[store]\nurl = "{url}"\ntoken_file = "t"\n{more}\n')
    if ok:
        assert load_settings(path, environ={}).store.token_file == elsewhere / "t"
    else:
        (fault,) = faults_of(path)
        assert fault.startswith(f'{path}: store.url: found "{url}"; allowed: +https://, a server on this machine')


def test_dead_letters_have_room_for_a_few_of_the_largest_messages(elsewhere: Path) -> None:
    text = "[mqtt]\nmax_payload_bytes = 1_048_576\n[dead_letters]\nmax_bytes = {}"
    said = faults_of(written(elsewhere / "gateway.toml", text.format(8 * 2**20 - 1)))
    assert len(said) == 1
    assert "dead_letters.max_bytes: found 8388607; allowed: at least 8 times mqtt.max_payload_bytes, 8388608" in said[0]
    enough = load_settings(written(elsewhere / "gateway.toml", text.format(8 * 2**20)), environ={})
    assert enough.dead_letters.max_bytes == 8 * 2**20


def test_the_profile_of_a_small_box_writes_readings_to_no_card() -> None:
    assert not load_settings(ROOT / "config" / "edge" / "gateway.toml", environ={}).store.url.startswith("sqlite:")
