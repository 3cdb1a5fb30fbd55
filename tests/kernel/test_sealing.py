"""What is secret in the database opens with the cloud's own key only."""

import pytest

from aerostat.kernel.sealing import Sealer, WrongSealingKey


def test_sealed_and_opened() -> None:
    sealer = Sealer("the cloud's", "token keys")
    sealed = sealer.seal(b"secret")
    assert b"secret" not in sealed
    assert Sealer("the cloud's", "token keys").open(sealed) == b"secret"


@pytest.mark.parametrize("secret", ["another's", ""])
def test_another_key_opens_nothing_and_is_told(secret: str) -> None:
    sealed = Sealer("the cloud's", "token keys").seal(b"secret")
    with pytest.raises(WrongSealingKey, match="token keys in the database"):
        Sealer(secret, "token keys").open(sealed)
