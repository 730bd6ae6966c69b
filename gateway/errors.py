"""One tree of errors; each class knows how it leaves the process.

A message says what happened, where, and what to do next, in lower case, and never contains an identifier, a topic, a
payload or a value of a person. Foreign exceptions are wrapped where they enter.

    raise PolicyFault("policy.toml: purpose.support.basis: 'consnt' is not one of …")
"""

from __future__ import annotations

from typing import ClassVar


class GlomskaError(Exception):
    """Root. `code` is what `--json` prints; `hint` is the next step."""

    code: ClassVar[str] = "bug"
    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    hint: str = "this is a defect: please report it with the output of `glomska doctor`"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        if hint is not None:
            self.hint = hint


class UsageFault(GlomskaError):
    """The call's words are off."""

    code, exit_code, http_status = "usage", 2, 400
    hint = "see --help"


class ConfigurationFault(GlomskaError):
    """Configuration is wrong; every fault found is in the message."""

    code, exit_code = "configuration", 3
    hint = "correct the named keys; `glomska doctor` checks the result"


class NotThere(ConfigurationFault):
    """What the configuration names has not been made yet."""


class PolicyFault(ConfigurationFault):
    """The privacy policy is wrong or incomplete."""

    code = "policy"
    hint = "correct the named keys; `glomska policy check` checks the result"


class CustodianFault(ConfigurationFault):
    """The custodian's key is missing, unreadable, wrong, or readable by others."""

    code = "custodian"
    hint = "put the key file back with mode 0600; without it nothing is read or emitted"


class Unreachable(GlomskaError):
    """A server or a file system does not answer; later it may."""

    code, exit_code, http_status, retryable = "unreachable", 4, 503, True
    hint = "see that it is running and that the URL in gateway.toml is right, then try again"


class Silent(Unreachable):
    """It let the time pass that it was given: whoever asks again waits as long again."""


class Refused(GlomskaError):
    """Purpose, consent or role does not allow this."""

    code, exit_code, http_status = "refused", 5, 403
    hint = "name a purpose that policy.toml declares and that this subject allows"


class UnknownSubject(GlomskaError):
    """No such customer."""

    code, exit_code, http_status = "unknown_subject", 6, 404
    hint = "check controller and customer; a customer exists once `glomska enrol` has run"


class KeyDestroyed(GlomskaError):
    """The customer was erased. A normal outcome, not an incident."""

    code, exit_code, http_status = "key_destroyed", 7, 410
    hint = "this customer was erased; nothing that was sealed for them can be read by anyone"


class VerificationFailed(GlomskaError):
    """A seal, a hash or a signature does not hold."""

    code, exit_code, http_status = "verification_failed", 8, 422
    hint = "the data was changed, or belongs elsewhere; keep it and investigate"


class IntegrityStop(GlomskaError):
    """Key store and ledger disagree: one of them was restored, cut or forked."""

    code, exit_code = "integrity_stop", 9
    hint = "start nothing; find out which of key store and ledger is the older one"


class KeyMissing(IntegrityStop):
    """A key that should exist does not. An incident, unlike KeyDestroyed."""

    code = "key_missing"
    hint = "the key store lacks a row that a route points to; restore it before anything else"


class IllegalMove(GlomskaError):
    """A key state transition that is not in the table; nothing was changed."""

    code = "illegal_move"


class LeaseOver(GlomskaError):
    """This worker's permission to use keys has ended; it stops reading until the key store renews it."""

    code, exit_code, http_status, retryable = "lease_over", 4, 503, True
    hint = "the key store must be reachable for the lease to be renewed"
