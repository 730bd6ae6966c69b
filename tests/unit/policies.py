"""Variants of the shipped policy for tests: one word changed, the rest as it is."""

from __future__ import annotations

import tomllib
from typing import Any

from gateway.policy.load import parse_policy
from gateway.policy.rules import Policy
from gateway.runtime.config import resource


def shipped() -> dict[str, Any]:
    """`config/policy.toml` as a document that may be changed."""
    return tomllib.loads(resource("policy.toml").read_text())


def with_modes(**modes: str) -> Policy:
    """The shipped policy with other storage modes: `with_modes(power="clear")`."""
    document = shipped()
    for quantity, mode in modes.items():
        document["quantity"][quantity]["mode"] = mode
    return parse_policy(document, "test")
