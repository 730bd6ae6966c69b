"""Wrapping keys on a PKCS#11 token: made there, used there, destroyed there, and never out of it.

    W_e     AES-256, label "glomska-w-" hash of the controller "-" e; generated on the token, sensitive, not extractable
    KEK row = u8(2) nonce AES-256-GCM(W_e, random 96-bit nonce, KEK_e, aad = LP(controller) LP("kek") u32(e))
    mark    = a private data object, label "glomska-mark-" ledger id: {"hash": …, "seq": …}

GCM and not the file custodian's GCM-SIV, because that is what tokens have; a W_e wraps one KEK, so nonces do not meet.
A token cannot make an object only if there is none. Where two processes did so at once both keys count: either unwraps
what it wrapped, and both are destroyed. The mark's successor is made before the mark goes, and the highest counts.

A PIN that the token has refused is not tried again by this process, and the last try before the token locks itself is
left to the operator. A token that was away is looked for again at the next call.
"""

from __future__ import annotations

import contextlib
import itertools
import secrets
import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any, ClassVar, TypeVar

import msgspec
import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass
from pkcs11.constants import TokenFlag

from gateway.crypto import envelope
from gateway.errors import CustodianFault, Unreachable
from gateway.keys.custody import Destruction, Mark
from gateway.model.ids import Controller

T = TypeVar("T")
_Key = Any  # whose type knows neither `encrypt` nor `decrypt`: its class is put together while running
_Library = Any  # of a type that is loaded with the module
_NONCE_BYTES = 12
_TAG_BITS = 128
_GONE = (  # the session is over, whatever the reason, or shows what it has no more: a new one may do
    pkcs11.exceptions.DeviceError,
    pkcs11.exceptions.DeviceRemoved,
    pkcs11.exceptions.KeyHandleInvalid,
    pkcs11.exceptions.NoSuchKey,
    pkcs11.exceptions.NoSuchToken,
    pkcs11.exceptions.ObjectHandleInvalid,
    pkcs11.exceptions.SessionClosed,
    pkcs11.exceptions.SessionHandleInvalid,
    pkcs11.exceptions.SlotIDInvalid,
    pkcs11.exceptions.TokenNotPresent,
    pkcs11.exceptions.UserNotLoggedIn,
)
_DOES_NOT_OPEN = (  # tokens differ in what they call a wrong tag
    pkcs11.exceptions.DataInvalid,
    pkcs11.exceptions.EncryptedDataInvalid,
    pkcs11.exceptions.EncryptedDataLenRange,
    pkcs11.exceptions.FunctionFailed,
    pkcs11.exceptions.GeneralError,
)
_FROM_HERE = {
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.ALWAYS_SENSITIVE: True,
    Attribute.NEVER_EXTRACTABLE: True,
}
_SOFTWARE = "SoftHSM"  # keeps its objects in files of this machine


class TokenCustodian:
    """W_e as objects of one token. Its methods may be called from any thread."""

    kind: ClassVar[str] = "pkcs11"
    _lock: ClassVar[threading.RLock] = threading.RLock()  # of the process: the library is not for several threads

    def __init__(self, module: str, label: str, pin: bytes) -> None:
        self._module = module
        self._label = label
        self._pin: bytes | None = pin
        self._session: pkcs11.Session | None = None

    def create(self, controller: Controller, e: int) -> None:
        """Generate W_e on the token. Raises CustodianFault, Unreachable."""

        def make(session: pkcs11.Session) -> None:
            if not _keys(session, controller, e):
                session.generate_key(
                    KeyType.AES,
                    256,
                    id=secrets.token_bytes(16),
                    label=_label(controller, e),
                    store=True,
                    capabilities=MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT,
                    template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
                )

        self._call("made", make)

    def exists(self, controller: Controller, e: int) -> bool:
        """Whether the token has W_e. Raises CustodianFault, Unreachable."""

        def look(session: pkcs11.Session) -> bool:
            return bool(_keys(session, controller, e))

        return self._call("looked for", look) or self._call("looked for", look, anew=True)

    def wrap(self, controller: Controller, e: int, kek: bytes) -> bytes:
        """KEK_e under W_e. Raises CustodianFault, Unreachable."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        how = _gcm(nonce, controller, e)

        def encrypt(session: pkcs11.Session) -> bytes:
            found = _required(session, controller, e)[0]
            return bytes(found.encrypt(kek, mechanism=Mechanism.AES_GCM, mechanism_param=how))

        return envelope.token_kek(nonce + self._call("used", encrypt))

    def unwrap(self, controller: Controller, e: int, wrapped: bytes) -> bytes:
        """KEK_e. Raises CustodianFault when W_e is missing, can be taken out, or is not the right one; Unreachable."""
        sealed = [row[1:] for row in envelope.kek_rows(wrapped, envelope.TOKEN)]

        def decrypt(session: pkcs11.Session) -> bytes | None:
            for found, row in itertools.product(_required(session, controller, e), sealed):
                how = _gcm(row[:_NONCE_BYTES], controller, e)
                with contextlib.suppress(*_DOES_NOT_OPEN):
                    return bytes(found.decrypt(row[_NONCE_BYTES:], mechanism=Mechanism.AES_GCM, mechanism_param=how))
            return None

        kek = self._call("used", decrypt)
        if kek is None:
            message = f"the token's key for e = {e} is not the one this key store was wrapped with"
            raise CustodianFault(message, hint="connect the token that belongs to this key store")
        return kek

    def destroy(self, controller: Controller, e: int) -> Destruction:
        """Destroy W_e on the token, and see that it finds it no more. Raises CustodianFault, Unreachable.

        Begun anew, because a token that was taken away may show an old session nothing, which is not destruction.
        """

        def end(session: pkcs11.Session) -> str:
            for found in _keys(session, controller, e):
                found.destroy()
            if _keys(session, controller, e):
                message = f"the token still has its key for e = {e} after it was destroyed"
                raise CustodianFault(message, hint="see whether the token, or this user of it, may destroy objects")
            return str(session.token.model)

        model = self._call("destroyed", end, anew=True)
        residue = "copies of the software token's directory" if _SOFTWARE in model else ""
        return Destruction(kind=self.kind, attested=True, residue=residue)

    def mark(self, ledger: bytes) -> Mark | None:
        """Raises CustodianFault, Unreachable."""
        return self._call("read", lambda session: max(_marks(session, ledger), key=_seq, default=(None, None))[0])

    def set_mark(self, ledger: bytes, mark: Mark) -> None:
        """Raises CustodianFault, Unreachable. Who sets it holds the control role, so no two do at once."""

        def move(session: pkcs11.Session) -> None:
            before = _marks(session, ledger)
            if any(held.seq >= mark.seq for held, _ in before):
                return
            new = {Attribute.TOKEN: True, Attribute.PRIVATE: True, Attribute.VALUE: msgspec.json.encode(mark)}
            session.create_object(_place(ledger) | new)
            for _, older in before:
                older.destroy()

        self._call("written", move)

    def _call(self, act: str, what: Callable[[pkcs11.Session], T], *, anew: bool = False) -> T:
        with self._lock, _faults(act, self._label):
            if anew:
                self._forget()
            try:
                return what(self._open())
            except _GONE:
                self._forget()
                return what(self._open())

    def _open(self) -> pkcs11.Session:
        if self._session is None:
            token = _library(self._module).get_token(token_label=self._label)
            self._session = self._logged_in(token)
        return self._session

    def _logged_in(self, token: pkcs11.Token) -> pkcs11.Session:
        if self._pin is None:
            raise CustodianFault("the token refused its PIN before, and is not asked again", hint=_PIN_HINT)
        if token.flags & TokenFlag.USER_PIN_FINAL_TRY:
            message = "one wrong PIN more and the token locks itself, so it is not tried"
            raise CustodianFault(message, hint="log in once with the token's own tool, and " + _PIN_HINT)
        try:
            return token.open(rw=True, user_pin=self._pin.decode())
        except pkcs11.exceptions.UserAlreadyLoggedIn:  # this process is, by another session
            return token.open(rw=True)
        except (pkcs11.exceptions.PinIncorrect, pkcs11.exceptions.PinLenRange, pkcs11.exceptions.PinInvalid):
            self._pin = None
            raise CustodianFault("the token refuses its PIN", hint=_PIN_HINT) from None

    def _forget(self) -> None:
        """A token that was taken away and put back is seen only by a library that begins anew."""
        if self._session is not None:
            with contextlib.suppress(pkcs11.exceptions.PKCS11Error):
                self._session.close()
        self._session = None
        _library(self._module).reinitialize()


_PIN_HINT = "correct keys.pin_file, then start again"


def _library(module: str) -> _Library:
    try:
        return pkcs11.lib(module)
    except (pkcs11.exceptions.PKCS11Error, RuntimeError) as fault:
        message = f"the PKCS#11 module cannot be used: {_told(fault)}"
        raise CustodianFault(message, hint="correct module=… in keys.custodian, or install what brings it") from None


def _label(controller: Controller, e: int) -> str:
    return f"glomska-w-{sha256(controller.encode()).hexdigest()[:16]}-{e}"


def _keys(session: pkcs11.Session, controller: Controller, e: int) -> list[_Key]:
    wanted = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: _label(controller, e)}
    return sorted(session.get_objects(wanted), key=lambda found: bytes(found[Attribute.ID]))


def _required(session: pkcs11.Session, controller: Controller, e: int) -> list[_Key]:
    """Raises NoSuchKey when there is none, CustodianFault when one can be taken out or came from outside."""
    found = _keys(session, controller, e)
    if not found:
        raise pkcs11.exceptions.NoSuchKey(f"e = {e}")
    if any(key[name] is not wanted for key in found for name, wanted in _FROM_HERE.items()):
        message = f"the token's key for e = {e} can be taken out of it, or was put into it"
        raise CustodianFault(message, hint="turn the keys over, and find out who may have it")
    return found


def _gcm(nonce: bytes, controller: Controller, e: int) -> pkcs11.GCMParams:
    return pkcs11.GCMParams(nonce, envelope.kek_aad(controller, e), _TAG_BITS)


def _place(ledger: bytes) -> dict[Attribute, object]:
    label = f"glomska-mark-{ledger.hex()}"
    return {Attribute.CLASS: ObjectClass.DATA, Attribute.APPLICATION: "glomska", Attribute.LABEL: label}


def _marks(session: pkcs11.Session, ledger: bytes) -> list[tuple[Mark, pkcs11.Object]]:
    found = list(session.get_objects(_place(ledger)))
    return [(msgspec.json.decode(held[Attribute.VALUE], type=Mark), held) for held in found]


def _seq(held: tuple[Mark, pkcs11.Object]) -> int:
    return held[0].seq


def _told(fault: Exception) -> str:
    return f"{type(fault).__name__} {fault}".strip()


@contextlib.contextmanager
def _faults(act: str, label: str) -> Iterator[None]:
    try:
        yield
    except pkcs11.exceptions.NoSuchKey as fault:
        message = f"the token has no key for {fault}"
        raise CustodianFault(message, hint="connect the token that belongs to this key store") from None
    except _GONE as fault:
        message = f'the token "{label}" does not answer: {_told(fault)}'
        raise Unreachable(message, hint="connect the token; until then only a running gateway emits") from None
    except (pkcs11.exceptions.MechanismInvalid, pkcs11.exceptions.FunctionNotSupported):
        message = f'the token "{label}" does not know AES-256-GCM'
        raise CustodianFault(message, hint="choose a token that does, or another custodian") from None
    except pkcs11.exceptions.PinLocked:
        message = f'the token "{label}" has locked itself after wrong PINs'
        raise CustodianFault(message, hint="unlock it with its own tool and the security officer's PIN") from None
    except (pkcs11.exceptions.PKCS11Error, msgspec.DecodeError) as fault:
        message = f'the token "{label}": what was asked for could not be {act}: {_told(fault)}'
        raise CustodianFault(message, hint="see with the token's own tool what is in it") from None
