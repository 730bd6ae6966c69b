"""How `firmware-sim` ends when it cannot do what was asked; exit codes and JSON are those of `glomska`.

Messages are lower case and name no device.
"""

from __future__ import annotations

from typing import ClassVar


class FleetError(Exception):
    """Root. `code` is what `--json` prints; `hint` is the next step."""

    code: ClassVar[str] = "bug"
    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False
    hint: ClassVar[str] = "this is a defect: please report it"


class UsageFault(FleetError):
    """The call's words are off."""

    code, exit_code = "usage", 2
    hint = "see --help"


class Unreachable(FleetError):
    """The broker does not answer, does not let us in, or does not take messages; later it may."""

    code, exit_code, retryable = "unreachable", 4, True
    hint = "see that the broker runs and that --url is right, then try again"
