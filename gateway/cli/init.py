"""`glomska init`: a configuration that works, by asking little, and a store that is set up for it.

It writes `gateway.toml` and `policy.toml` as they are shipped, with the answers in them, and secrets into files of
their own (mode 0600). What is there already stays as it is, so doing it again only sets the store up: its database or
bucket is made if it is missing, with the retention that the policy asks for. A database with another retention is
named, with what to do, and left alone: a shorter one would delete.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from gateway.errors import ConfigurationFault, UsageFault
from gateway.runtime.config import load_settings, resource
from gateway.runtime.wiring import opened

_BROKER = "mqtt://localhost:1883"
_STORES = {
    "sqlite": "sqlite:///readings.db",
    "influxdb1": "influxdb1+http://localhost:8086/glomska",
    "influxdb2": "influxdb2+http://localhost:8086/ORGANISATION/glomska",
    "victoriametrics": "victoriametrics+http://localhost:8428",
}
_KINDS = f"Kind of store: {', '.join(_STORES)}"


def init(
    directory: Annotated[Path, typer.Argument(help="Where gateway.toml and policy.toml go.")] = Path("config"),
    broker: Annotated[str | None, typer.Option(metavar="URL", help="mqtts://HOST:PORT or mqtt://HOST:PORT.")] = None,
    store: Annotated[str | None, typer.Option(metavar="URL", help="See docs/configuration.md, store.url.")] = None,
    username: Annotated[str | None, typer.Option(metavar="NAME", help="Login at the store.")] = None,
    password_file: Annotated[Path | None, typer.Option(metavar="FILE", help="Its password alone, mode 0600.")] = None,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The token alone of InfluxDB 2, mode 0600.")
    ] = None,
) -> None:
    """Write a configuration by asking little, and set the store up for it.

    What is not given is asked for. Nothing that exists is changed: called again, it sets up what is missing.
    """
    path = directory / "gateway.toml"
    if path.exists():
        typer.echo(f"{path} is there already and stays as it is")
    else:
        broker = broker or _ask("Broker (mqtts://HOST:PORT, or mqtt:// on this machine)", default=_BROKER)
        url = store or _ask_store()
        given = {"username": username, "password_file": password_file, "token_file": token_file}
        _write(path, broker, url, {name: str(value) for name, value in given.items() if value is not None})
    settings = load_settings(path)
    if settings.store.url.startswith("sqlite:"):
        typer.echo("store: a file in the state directory, which `glomska run` makes")
    else:
        with opened(settings) as house:
            typer.echo(f"store: {house.installable_store.prepare()}")
    typer.echo(f"next: see that {settings.policy} says what you process; then `glomska doctor`, `glomska enrol`")


def _ask(question: str, **how: object) -> str:
    """Raises UsageFault: there is nobody at a terminal. Who is there and ends it goes on up."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", getpass.GetPassWarning)  # there is no echo where there is no terminal
            return str(typer.prompt(question, **how))  # type: ignore[arg-type]
    except typer.Abort as end:
        if sys.stdin.isatty() or not isinstance(end.__context__, EOFError):
            raise
        typer.echo()
        message = "there is nobody to ask, and not everything was given"
        hint = "give --broker and --store, with --token-file or --username and --password-file where the store asks"
        raise UsageFault(message, hint=hint) from None


def _ask_store() -> str:
    kind = _ask(_KINDS, default="sqlite")
    if kind not in _STORES:
        raise UsageFault(f"there is no such kind of store; there are {', '.join(_STORES)}")
    return _STORES[kind] if kind == "sqlite" else _ask("Its address", default=_STORES[kind])


def _write(path: Path, broker: str, store: str, login: dict[str, str]) -> None:
    """All of it, or nothing when an answer is wrong. Raises ConfigurationFault."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made: list[Path] = []
    login = {
        name: os.path.relpath(value, path.parent) if name != "username" else value for name, value in login.items()
    }
    try:
        if store.startswith("influxdb2+") and "token_file" not in login:
            login["token_file"] = _ask_secret("Token", path.parent / "store.token", made)
        if login.get("username") and "password_file" not in login:
            login["password_file"] = _ask_secret("Password", path.parent / "store.password", made)
        if not (path.parent / "policy.toml").exists():
            made.append(path.parent / "policy.toml")
            made[-1].write_bytes(resource("policy.toml").read_bytes())
        text = _answered(resource("gateway.toml").read_text(encoding="utf-8"), "mqtt", {"url": broker})
        made.append(path)
        path.write_text(_answered(text, "store", {"url": store, **login}), encoding="utf-8")
        load_settings(path)
    except BaseException:
        for file in made:
            file.unlink(missing_ok=True)
        raise
    for file in sorted(made):
        typer.echo(f"{file} written")


def _ask_secret(what: str, file: Path, made: list[Path]) -> str:
    """The name of a new file with what was typed, which is not shown."""
    secret = _ask(f"{what} (not shown)", hide_input=True)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise ConfigurationFault(f"{file} is there already", hint="name it with an option, or remove it") from None
    made.append(file)
    with open(descriptor, "w", encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor
        stream.write(f"{secret}\n")
    return file.name


def _answered(text: str, section: str, answers: dict[str, str]) -> str:
    """The shipped configuration with these keys of one section set, also those that are switched off there."""
    head, begin, rest = text.partition(f"\n[{section}]\n")
    body, end, tail = rest.partition("\n\n[")
    for key, value in answers.items():
        line = f"{key} = {json.dumps(value, ensure_ascii=False)}".replace("\\", r"\\")  # as a pattern's replacement
        body, found = re.subn(rf"^(# )?{key} = .*$", line, body, count=1, flags=re.MULTILINE)
        if not found:
            raise ConfigurationFault(f"the shipped gateway.toml has no {section}.{key}", hint="install glomska again")
    return head + begin + body + end + tail
