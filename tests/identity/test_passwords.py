"""Password hashes: the forms that Keystone stores, what is refused of them, and secrets that are paid for once."""

import asyncio

import pytest

from aerostat.kernel.errors import Unavailable
from aerostat.services.identity import passwords
from aerostat.services.identity.passwords import ProvenSecrets, check_form, hash_password, is_password


@pytest.mark.parametrize(
    "stored",  # of passlib's documentation and tests
    [
        "$bcrypt-sha256$v=2,t=2b,r=12$n79VH.0Q2TMWmt3Oqt9uku$Kq4Noyk3094Y2QlB8NdRT8SvGiI4ft2",
        "$bcrypt-sha256$2a,12$LrmaIX5x4TRtAwEfwJZa1.$2ehnw6LvuIUTM0iz4iz9hTxv21B6KFO",
        "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
        "$pbkdf2-sha512$1212$RHY0Fr3IDMSVO/RSZyb5ow$eNLfBK.eVozomMr.1gYa17k9B7KIK25NOEshvhrSX.esqY3s.FvWZViXz4KoLlQI"
        ".BzY/YTNJOiKc5gBYFYGww",
    ],
)
async def test_hashes_of_others_let_in(stored: str) -> None:
    check_form(stored)
    assert await is_password("password", stored, 4)
    assert not await is_password("Password", stored, 4)


@pytest.mark.parametrize("password", ["short", "x" * 72, "x" * 80, "é" * 40, "a\0b"])
async def test_every_byte_of_a_password_counts(password: str) -> None:
    stored = await hash_password(password, 4)
    check_form(stored)
    assert await is_password(password, stored, 4)
    assert not await is_password(password[:-1] + "y", stored, 4)


async def test_what_keystone_cut_off_is_cut_off_here() -> None:
    """Keystone's bcrypt reads 72 bytes of a longer password."""
    assert await is_password("x" * 80, await hash_password("x" * 72, 4), 4)


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "secret",
        "$2b$31$" + "." * 53,
        "$2b$04$" + "." * 52,
        "$6$rounds=5000$salt$digest",
        "$scrypt$ln=25,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
        "$pbkdf2-sha512$99999999$RHY0Fr3IDMSVO$eNLfBK",
        "$pbkdf2-sha512$1000$a$eNLfBK",
    ],
)
def test_odd_hashes_are_known_as_such(stored: str) -> None:
    with pytest.raises(ValueError, match=r"none of|costs more|padding|base64"):
        check_form(stored)


async def test_a_secret_is_paid_for_once_until_its_hash_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    paid: list[str] = []
    check = passwords.is_password

    async def counting(password: str, stored: str | None, rounds: int) -> bool:
        paid.append(password)
        return await check(password, stored, rounds)

    monkeypatch.setattr(passwords, "is_password", counting)
    kept = ProvenSecrets(most=2)
    stored = await hash_password("s", 4)
    for _ in range(3):
        assert await kept.matches("s", stored, 4)
    assert paid == ["s"]
    for _ in range(2):  # wrong ones are never kept
        assert not await kept.matches("t", stored, 4)
    assert paid == ["s", "t", "t"]
    assert not await kept.matches("s", await hash_password("u", 4), 4)
    assert not await kept.matches("s", None, 4)
    for other in ("v", "w"):
        assert await kept.matches(other, await hash_password(other, 4), 4)
    assert await kept.matches("s", stored, 4)  # pushed out by the two
    assert paid[-1] == "s"


async def test_a_check_holds_up_nobody() -> None:
    """While passwords are hashed the loop goes on: other requests are answered."""
    stored = await hash_password("s", 10)
    checking = asyncio.gather(*(is_password("s", stored, 10) for _ in range(4)))
    turns = 0
    while not checking.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert all(await checking)
    assert turns > 5


async def test_a_flood_of_log_ins_is_told_to_come_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_MOST_WAITING", 2)
    stored = await hash_password("s", 4)
    answers = await asyncio.gather(*(is_password("s", stored, 4) for _ in range(4)), return_exceptions=True)
    assert [answer for answer in answers if not isinstance(answer, Unavailable)] == [True, True]
    assert await is_password("s", stored, 4)
