"""Key files: made once and whole, readable by nobody else, and each way in which one can be wrong is told."""

from __future__ import annotations

import os
import pickle
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.errors import ConfigurationFault, CustodianFault, Unreachable
from gateway.keys.custodian import FileCustodian, Mark, open_custodian
from gateway.model.ids import Controller

ONE, TWO = Controller("fjärrvärme-ett"), Controller("fjärrvärme-två")
KEK = bytes(range(32))


@pytest.fixture
def custodian(tmp_path: Path) -> FileCustodian:
    return FileCustodian(tmp_path / "kek")


@pytest.fixture
def wrapped(custodian: FileCustodian) -> bytes:
    custodian.create(ONE, 1)
    return custodian.wrap(ONE, 1, KEK)


def only_file(directory: Path) -> Path:
    (found,) = (directory / "kek").iterdir()
    return found


def refusal(custodian: FileCustodian, wrapped: bytes, e: int = 1) -> CustodianFault:
    with pytest.raises(CustodianFault) as caught:
        custodian.unwrap(ONE, e, wrapped)
    assert caught.value.exit_code == 3
    assert KEK.hex() not in repr(caught.value)
    assert ONE not in str(caught.value)
    return caught.value


def test_what_it_wraps_it_unwraps(custodian: FileCustodian, wrapped: bytes) -> None:
    assert custodian.unwrap(ONE, 1, wrapped) == KEK
    assert KEK not in wrapped


def test_only_the_owner_may_read(tmp_path: Path, wrapped: bytes) -> None:
    assert stat.S_IMODE(only_file(tmp_path).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "kek").stat().st_mode) == 0o700


def test_file_names_name_no_controller(tmp_path: Path, wrapped: bytes) -> None:
    name = only_file(tmp_path).name
    assert name.startswith("w-")
    assert name.endswith("-1.key")
    assert "fjärr" not in name


def test_creation_again_changes_nothing(tmp_path: Path, custodian: FileCustodian, wrapped: bytes) -> None:
    before = only_file(tmp_path).read_bytes()
    custodian.create(ONE, 1)
    assert only_file(tmp_path).read_bytes() == before
    assert len(before) == 32


def test_creation_by_many_at_once_makes_one_key(tmp_path: Path, custodian: FileCustodian) -> None:
    def make(_number: int) -> bytes:
        custodian.create(ONE, 1)
        return custodian.wrap(ONE, 1, KEK)

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(make, range(64)))
    assert {custodian.unwrap(ONE, 1, each) for each in made} == {KEK}
    assert len(only_file(tmp_path).read_bytes()) == 32


def test_creation_that_is_cut_off_leaves_no_half_key(
    tmp_path: Path, custodian: FileCustodian, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(CustodianFault, match="the custodian's key file could not be created: No space left on dev"):
            custodian.create(ONE, 1)
    assert list((tmp_path / "kek").iterdir()) == []
    custodian.create(ONE, 1)
    assert custodian.unwrap(ONE, 1, custodian.wrap(ONE, 1, KEK)) == KEK


def test_each_controller_and_e_has_its_own(custodian: FileCustodian, tmp_path: Path) -> None:
    places = [(ONE, 1), (ONE, 2), (TWO, 1)]
    for place in places:
        custodian.create(*place)
    assert len({file.read_bytes() for file in (tmp_path / "kek").iterdir()}) == 3
    made = {place: custodian.wrap(*place, KEK) for place in places}
    for place in places:
        for other in places:
            if other != place:
                with pytest.raises(CustodianFault):
                    custodian.unwrap(*place, made[other])


def test_missing(tmp_path: Path, custodian: FileCustodian, wrapped: bytes) -> None:
    name = only_file(tmp_path).name
    custodian.set_mark(b"l" * 16, Mark(3, "0" * 64))
    (tmp_path / "kek" / name).unlink()
    fault = refusal(custodian, wrapped)
    assert str(fault) == f"the custodian's key file {name} cannot be read: No such file or directory"
    assert fault.hint == "put the key file back with mode 0600; without it nothing is read or emitted"


@pytest.mark.parametrize("there", [True, False], ids=["mount point", "no directory"])
def test_a_medium_that_is_away_may_come_back(tmp_path: Path, wrapped: bytes, there: bool) -> None:
    """Unlike a file that is missing beside others: another start may mend it."""
    directory = tmp_path / "kek"
    custodian = FileCustodian(directory)
    medium = directory.rename(tmp_path / "medium")
    if there:
        directory.mkdir(mode=0o700)
    for use, material in ((custodian.unwrap, wrapped), (custodian.wrap, KEK)):
        with pytest.raises(Unreachable) as caught:
            use(ONE, 1, material)
        assert str(caught.value) == f"the custodian's directory {directory} holds neither key nor mark"
        assert caught.value.hint == "mount its medium; until then only a running gateway emits"
        assert (caught.value.exit_code, caught.value.retryable) == (4, True)
    if there:
        directory.rmdir()
    medium.rename(directory)
    assert custodian.unwrap(ONE, 1, wrapped) == KEK


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o644, 0o610, 0o601])
def test_readable_by_others(tmp_path: Path, custodian: FileCustodian, wrapped: bytes, mode: int) -> None:
    file = only_file(tmp_path)
    file.chmod(mode)
    fault = refusal(custodian, wrapped)
    assert str(fault) == f"the custodian's key file {file.name} is readable by others (mode {mode:04o})"
    assert fault.hint == "chmod 600 the key file, and find out who may have read it"
    file.chmod(0o600)
    assert custodian.unwrap(ONE, 1, wrapped) == KEK


@pytest.mark.parametrize("content", [b"", b"\x07" * 31, b"\x07" * 33, b"\x07" * 64])
def test_not_32_bytes(tmp_path: Path, custodian: FileCustodian, wrapped: bytes, content: bytes) -> None:
    file = only_file(tmp_path)
    file.write_bytes(content)
    assert str(refusal(custodian, wrapped)) == f"the custodian's key file {file.name} does not hold 32 bytes"


def test_symbolic_link(tmp_path: Path, custodian: FileCustodian, wrapped: bytes) -> None:
    file = only_file(tmp_path)
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert "cannot be read: Too many levels of symbolic links" in str(refusal(custodian, wrapped))


def test_a_pipe_does_not_make_us_wait(tmp_path: Path, custodian: FileCustodian, wrapped: bytes) -> None:
    file = only_file(tmp_path)
    file.unlink()
    os.mkfifo(file, 0o600)
    assert "does not hold 32 bytes" in str(refusal(custodian, wrapped))


def test_another_key(tmp_path: Path, custodian: FileCustodian, wrapped: bytes) -> None:
    only_file(tmp_path).write_bytes(b"\x07" * 32)
    fault = refusal(custodian, wrapped)
    assert str(fault) == "the custodian's key file for e = 1 is not the one this key store was wrapped with"
    assert fault.hint == "put back the key file that belongs to this key store"


def test_destroying(tmp_path: Path, custodian: FileCustodian, wrapped: bytes) -> None:
    held = only_file(tmp_path)
    kept = tmp_path / "kept"
    kept.hardlink_to(held)
    before = kept.read_bytes()
    custodian.destroy(ONE, 1)
    assert not held.exists()
    assert kept.read_bytes() != before, "the bytes themselves are overwritten"
    custodian.create(TWO, 1)
    assert "No such file" in str(refusal(custodian, wrapped))
    assert custodian.destroy(ONE, 1).attested is False  # absent counts as destroyed
    with pytest.raises(CustodianFault, match="the custodian's key file could not be destroyed: No such file"):
        FileCustodian(tmp_path / "not mounted").destroy(ONE, 1)


def test_a_mark_moves_forward_only(custodian: FileCustodian, tmp_path: Path) -> None:
    ledger, other = b"l" * 16, b"m" * 16
    assert custodian.mark(ledger) is None
    custodian.create(ONE, 1)
    for seq, now in ((3, 3), (7, 7), (5, 7), (7, 7), (8, 8)):
        custodian.set_mark(ledger, Mark(seq, f"{seq:064x}"))
        assert custodian.mark(ledger) == Mark(now, f"{now:064x}")
    assert custodian.mark(other) is None
    next((tmp_path / "kek").glob("mark-*")).write_bytes(b"{")
    with pytest.raises(CustodianFault, match=r"the custodian's mark .* cannot be read: DecodeError"):
        custodian.set_mark(ledger, Mark(9, "0" * 64))


@pytest.mark.parametrize("there", [True, False], ids=["mount point", "no directory"])
def test_the_first_mark_is_not_written_where_the_medium_is_away(tmp_path: Path, there: bool) -> None:
    """It would say on another medium that this gateway's keys are there."""
    directory = tmp_path / "mount point"
    if there:
        directory.mkdir(mode=0o700)
    with pytest.raises(CustodianFault, match="holds neither key nor mark, so no mark was written there") as fault:
        FileCustodian(directory).set_mark(b"l" * 16, Mark(3, "0" * 64))
    assert fault.value.hint.startswith("mount its medium")
    assert list(tmp_path.rglob("*")) == ([directory] if there else [])


def test_destroying_follows_no_link(tmp_path: Path, custodian: FileCustodian, wrapped: bytes) -> None:
    held = only_file(tmp_path)
    victim = tmp_path / "victim"
    victim.write_bytes(b"something else")
    held.unlink()
    held.symlink_to(victim)
    with pytest.raises(CustodianFault, match="the custodian's key file could not be destroyed: Too many levels"):
        custodian.destroy(ONE, 1)
    assert victim.read_bytes() == b"something else"


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "kek").write_text("a file")
    with pytest.raises(CustodianFault) as caught:
        FileCustodian(tmp_path / "kek").create(ONE, 1)
    assert str(caught.value).startswith("the custodian's key file could not be created: ")
    assert caught.value.hint == "check owner, mode and free space of the custodian's directory"


def test_a_custodian_itself_holds_no_key(custodian: FileCustodian, wrapped: bytes, tmp_path: Path) -> None:
    key = only_file(tmp_path).read_bytes()
    assert key not in pickle.dumps(custodian)
    assert key.hex() not in repr(vars(custodian))


@pytest.mark.parametrize("url", ["", "file", "file:", "pkcs11:token=a", "pkcs11:token=a;module=b", "kek"])
def test_another_scheme_or_a_token_without_pin_is_told(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationFault) as caught:
        open_custodian(url, state=tmp_path)
    assert str(caught.value) == (
        "keys.custodian: only file:DIRECTORY and pkcs11:token=LABEL;module=FILE with keys.pin_file are known"
    )


def test_a_directory_is_relative_to_the_state(tmp_path: Path) -> None:
    open_custodian("file:kek", state=tmp_path).create(ONE, 1)
    open_custodian(f"file:{tmp_path}/abs", state=tmp_path / "state").create(ONE, 1)
    assert len(list((tmp_path / "kek").iterdir())) == len(list((tmp_path / "abs").iterdir())) == 1


@pytest.mark.parametrize("mode", [0o777, 0o720, 0o702])
def test_a_directory_that_others_may_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    """Whoever may write there can exchange a key, or destroy it."""
    custodian = FileCustodian(tmp_path / "kek")
    custodian.create(ONE, 1)
    wrapped = custodian.wrap(ONE, 1, bytes(32))
    (tmp_path / "kek").chmod(mode)
    with pytest.raises(CustodianFault, match=rf"directory may be written by others \(mode {mode:04o}\)"):
        custodian.unwrap(ONE, 1, wrapped)
    (tmp_path / "kek").chmod(0o755)
    assert custodian.unwrap(ONE, 1, wrapped) == bytes(32)
