"""Extensions: what clients may rely on beyond the core. Only what is whole stands here.

https://docs.openstack.org/api-ref/network/v2/#extensions
"""

from typing import Any

from aerostat.kernel.http import Request
from aerostat.kernel.resource import Resource, route

from ..errors import ExtensionNotFound

# Alias → name, as upstream calls it.
EXTENSIONS = {
    "address-scope": "Address scope",
    "agent": "agent",
    "allowed-address-pairs": "Allowed Address Pairs",
    "auto-allocated-topology": "Auto Allocated Topology Services",
    "availability_zone": "Availability Zone",
    "binding": "Port Binding",
    "default-subnetpools": "Default Subnetpools",
    "dns-domain-ports": "dns_domain for ports",
    "dns-integration": "DNS Integration",
    "empty-string-filtering": "Empty String Filtering Extension",
    "ext-gw-mode": "Neutron L3 Configurable external gateway mode",
    "external-net": "Neutron external network",
    "extra_dhcp_opt": "Neutron Extra DHCP options",
    "extraroute": "Neutron Extra Route",
    "extraroute-atomic": "Atomically add/remove extra routes",
    "filter-validation": "Filter parameters validation",
    "fip-port-details": "Floating IP Port Details Extension",
    "ip-substring-filtering": "IP address substring filtering",
    "ip_allocation": "IP Allocation",
    "net-mtu": "Network MTU",
    "net-mtu-writable": "Network MTU (writable)",
    "network-ip-availability": "Network IP Availability",
    "network_availability_zone": "Network Availability Zone",
    "pagination": "Pagination support",
    "port-security": "Port Security",
    "project-id": "project_id field enabled",
    "provider": "Provider Network",
    "quota_details": "Quota details management support",
    "quotas": "Quota management support",
    "rbac-address-scope": "Add address_scope type to RBAC",
    "rbac-policies": "RBAC Policies",
    "rbac-security-groups": "Add security_group type to network RBAC",
    "rbac-subnetpool": "Add subnetpool type to RBAC",
    "revision-if-match": "If-Match constraints based on revision_number",
    "router": "Neutron L3 Router",
    "router_availability_zone": "Router Availability Zone",
    "security-group": "security-group",
    "security-groups-normalized-cidr": "Normalized CIDR field for security group rules",
    "security-groups-shared-filtering": "Security group filtering on the shared field",
    "service-type": "Neutron Service Type Management",
    "sorting": "Sorting support",
    "standard-attr-description": "standard-attr-description",
    "standard-attr-revisions": "Resource revision numbers",
    "standard-attr-tag": "Tag support for resources with standard attribute: port, subnet, subnetpool, network, "
    "security_group, router, floatingip",
    "standard-attr-timestamp": "Resource timestamps",
    "stateful-security-group": "Stateful security group",
    "subnet-dns-publish-fixed-ip": "Subnet DNS publish fixed IP",
    "subnet-service-types": "Subnet service types",
    "subnet_allocation": "Subnet Allocation",
    "tag-creation": "Tag creation extension",
}
_UPDATED = "2026-11-22T00:00:00-00:00"


class Extension(Resource):
    @route("GET", "/extensions")
    async def all(self, req: Request) -> dict[str, Any]:
        return {"extensions": [_view(alias) for alias in EXTENSIONS]}

    @route("GET", "/extensions/{alias}")
    async def one(self, req: Request, alias: str) -> dict[str, Any]:
        if alias not in EXTENSIONS:
            raise ExtensionNotFound(id=alias)
        return {"extension": _view(alias)}


def _view(alias: str) -> dict[str, Any]:
    name = EXTENSIONS[alias]
    return {"alias": alias, "name": name, "description": name, "updated": _UPDATED, "links": []}
