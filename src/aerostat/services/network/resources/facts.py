"""What the network can tell about itself: availability zones and service providers.

https://docs.openstack.org/api-ref/network/v2/#availability-zones
"""

from typing import Any

from aerostat.kernel.http import Request
from aerostat.kernel.policy import anyone
from aerostat.kernel.resource import Resource, route

from ..config import NetworkConfig


class AvailabilityZone(Resource):
    """One zone, for networks and routers."""

    @route("GET", "/availability_zones", policy="get_availability_zone", default=anyone)
    async def all(self, req: Request) -> dict[str, Any]:
        name = req.house.config.section(NetworkConfig).availability_zone
        zones = [{"name": name, "resource": kind, "state": "available"} for kind in ("network", "router")]
        for key in ("name", "resource", "state"):
            if key in req.query:
                zones = [zone for zone in zones if zone[key] in req.query[key]]
        return {"availability_zones": zones}


class ServiceProvider(Resource):
    """Who provides what: routing, by the one engine there is."""

    @route("GET", "/service-providers", policy="get_service_provider", default=anyone)
    async def all(self, req: Request) -> dict[str, Any]:
        return {"service_providers": [{"service_type": "L3_ROUTER_NAT", "name": "ovn", "default": True}]}
