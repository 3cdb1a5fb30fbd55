"""The smallest frames that an IP version can live with."""

from .errors import NetworkMTUSubnetConflict

LEAST_MTU = {4: 68, 6: 1280}


def check_mtu(network_id: str, mtu: int, version: int) -> None:
    """Raises `NetworkMTUSubnetConflict` when subnets of this IP version cannot be on such a network."""
    if mtu and mtu < LEAST_MTU[version]:
        raise NetworkMTUSubnetConflict(mtu=mtu, id=network_id, version=version, least=LEAST_MTU[version])
