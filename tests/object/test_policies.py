"""Storage policies as data."""

import pytest

from aerostat.services.object.cluster.policies import Policies, Policy, PolicyError
from aerostat.services.object.cluster.quorum import erasure_quorum, write_quorum

GOLD = Policy(index=0, name="gold", aliases=("yellow",), is_default=True)
TIN = Policy(index=1, name="tin", kind="erasure", ec_data=2, ec_parity=1)


def test_policies_are_found_by_index_and_by_any_name():
    policies = Policies([TIN, GOLD])
    assert policies.find("GOLD") is policies.find("Yellow") is policies.get(0) is policies.default
    assert policies.find("silver") is None
    assert [one.index for one in policies] == [0, 1]
    assert (GOLD.devices, TIN.devices) == (3, 3)


def test_one_alone_is_the_default():
    assert Policies().default.name == "Policy-0"
    assert Policies([Policy(index=0, name="gold")]).default.name == "gold"


@pytest.mark.parametrize(
    "wrong",
    [
        [GOLD, Policy(index=0, name="tin")],
        [GOLD, Policy(index=1, name="Yellow")],
        [GOLD, Policy(index=1, name="tin", aliases=("gold",))],
        [GOLD, Policy(index=-1, name="tin")],
        [Policy(index=1, name="tin")],
        [GOLD, Policy(index=1, name="tin", is_default=True)],
        [Policy(index=0, name="gold"), Policy(index=1, name="tin")],
        [Policy(index=0, name="gold", is_default=True, is_deprecated=True)],
        [GOLD, Policy(index=1, name="tin can")],
        [GOLD, Policy(index=1, name="policy-0")],
        [GOLD, Policy(index=1, name="tin", replicas=0)],
        [GOLD, Policy(index=1, name="tin", kind="erasure", ec_parity=0)],
    ],
)
def test_policies_that_do_not_fit_together_are_refused(wrong):
    with pytest.raises(PolicyError):
        Policies(wrong)


def test_half_of_the_copies_is_a_quorum():
    assert [write_quorum(replicas) for replicas in range(1, 7)] == [1, 1, 2, 2, 3, 3]
    assert [erasure_quorum(*code) for code in ((2, 1), (4, 2), (10, 4))] == [3, 5, 11]
