"""What the network room refuses, by upstream's names: the class name is the `type` in a NeutronError.

https://opendev.org/openstack/neutron-lib/src/branch/master/neutron_lib/exceptions
"""

from typing import Any

from aerostat.kernel import errors


class InvalidInput(errors.BadRequest):
    message = "Invalid input for operation: %(error_message)s."


def refuse_value(attribute: str, reason: str) -> errors.BadRequest:
    """The error for one attribute's value, as upstream words it."""
    return errors.BadRequest(f"Invalid input for {attribute}. Reason: {reason}.")


def refuse_body(text: str) -> errors.BadRequest:
    return errors.BadRequest(text)


# Not there


class NetworkNotFound(errors.NotFound):
    message = "Network %(id)s could not be found."


class SubnetNotFound(errors.NotFound):
    message = "Subnet %(id)s could not be found."


class SubnetPoolNotFound(errors.NotFound):
    message = "Subnet pool %(id)s could not be found."


class AddressScopeNotFound(errors.NotFound):
    message = "Address scope %(id)s could not be found."


class PortNotFound(errors.NotFound):
    message = "Port %(id)s could not be found."


class RouterNotFound(errors.NotFound):
    message = "Router %(id)s could not be found"


class RouterInterfaceNotFound(errors.NotFound):
    message = "Router %(router_id)s does not have an interface with id %(port_id)s"


class RouterInterfaceNotFoundForSubnet(errors.NotFound):
    message = "Router %(router_id)s has no interface on subnet %(subnet_id)s"


class FloatingIPNotFound(errors.NotFound):
    message = "Floating IP %(id)s could not be found"


class ExternalGatewayForFloatingIPNotFound(errors.NotFound):
    message = (
        "External network %(external_network_id)s is not reachable from subnet %(subnet_id)s.  "
        "Therefore, cannot associate Port %(port_id)s with a Floating IP."
    )


class SecurityGroupNotFound(errors.NotFound):
    message = "Security group %(id)s does not exist"


class SecurityGroupRuleNotFound(errors.NotFound):
    message = "Security group rule %(id)s does not exist"


class RbacPolicyNotFound(errors.NotFound):
    message = "RBAC policy of type %(object_type)s with ID %(id)s not found"


class AgentNotFound(errors.NotFound):
    message = "Agent %(id)s could not be found"


class ExtensionNotFound(errors.NotFound):
    message = "Extension with alias %(id)s does not exist"


class AutoTopologyNotFound(errors.NotFound):
    code = "AutoAllocatedTopologyNotFound"
    message = "There is no auto-allocated topology for project %(project_id)s."


class TagNotFound(errors.NotFound):
    message = "Tag %(tag)s could not be found."


# In use


class NetworkInUse(errors.Conflict):
    message = (
        "Unable to complete operation on network %(id)s. There are one or more ports still in use on "
        "the network."
    )


class SubnetInUse(errors.Conflict):
    message = "Unable to complete operation on subnet %(id)s: %(reason)s."

    def __init__(
        self, id: str, reason: str = "One or more ports have an IP allocation from this subnet"
    ) -> None:
        super().__init__(id=id, reason=reason)


class AddressScopeInUse(errors.Conflict):
    message = (
        "Unable to complete operation on address scope %(id)s. There are one or more subnet pools in use on the "
        "address scope"
    )


class PortInUse(errors.Conflict):
    message = (
        "Unable to complete operation on port %(port_id)s for network %(net_id)s. Port already has an attached "
        "device %(device_id)s."
    )


class PortBound(errors.Conflict):
    message = (
        "Unable to complete operation on port %(port_id)s, port is already bound, port type: %(vif_type)s, "
        "old_mac %(old_mac)s, new_mac %(new_mac)s."
    )


class ServicePortInUse(errors.Conflict):
    message = "Port %(id)s cannot be deleted directly via the port API: %(reason)s."


class MacAddressInUse(errors.Conflict):
    message = "Unable to complete operation for network %(net_id)s. The mac address %(mac)s is in use."


class IpAddressAlreadyAllocated(errors.Conflict):
    message = "IP address %(ip)s already allocated in subnet %(subnet_id)s"


class IpAddressGenerationFailure(errors.Conflict):
    message = "No more IP addresses available on network %(net_id)s."


class FlatNetworkInUse(errors.Conflict):
    message = "Unable to create the flat network. Physical network %(physical_network)s is in use."


class VlanIdInUse(errors.Conflict):
    message = (
        "Unable to create the network. The VLAN %(vlan_id)s on physical network %(physical_network)s is "
        "in use."
    )


class TunnelIdInUse(errors.Conflict):
    message = "Unable to create the network. The tunnel ID %(tunnel_id)s is in use."


class RouterInUse(errors.Conflict):
    message = "Router %(id)s %(reason)s"

    def __init__(self, id: str, reason: str = "still has ports") -> None:
        super().__init__(id=id, reason=reason)


class RouterInterfaceInUseByFloatingIP(errors.Conflict):
    message = (
        "Router interface for subnet %(subnet_id)s on router %(router_id)s cannot be deleted, as it is required "
        "by one or more floating IPs."
    )


class RouterInterfaceInUseByRoute(errors.Conflict):
    message = (
        "Router interface for subnet %(subnet_id)s on router %(router_id)s cannot be deleted, as it is required "
        "by one or more routes."
    )


class RouterExternalGatewayInUseByFloatingIp(errors.Conflict):
    message = (
        "Gateway cannot be updated for router %(router_id)s, since a gateway to external network %(net_id)s is "
        "required by one or more floating IPs."
    )


class FloatingIPPortAlreadyAssociated(errors.Conflict):
    message = (
        "Cannot associate floating IP %(floating_ip_address)s (%(fip_id)s) with port %(port_id)s using fixed IP "
        "%(fixed_ip)s, as that fixed IP already has a floating IP on external network %(net_id)s."
    )


class SecurityGroupInUse(errors.Conflict):
    message = "Security Group %(id)s %(reason)s."

    def __init__(self, id: str, reason: str = "in use") -> None:
        super().__init__(id=id, reason=reason)


class SecurityGroupConflict(errors.Conflict):
    message = "Error %(reason)s while attempting the operation."


class SecurityGroupCannotRemoveDefault(errors.Conflict):
    message = "Insufficient rights for removing default security group."


class SecurityGroupCannotUpdateDefault(errors.Conflict):
    message = "Updating default security group not allowed."


class SecurityGroupDefaultAlreadyExists(errors.Conflict):
    message = "Default security group already exists."


class SecurityGroupRuleExists(errors.Conflict):
    message = "Security group rule already exists. Rule id is %(id)s."


class RbacPolicyInUse(errors.Conflict):
    message = (
        "RBAC policy on object %(object_id)s cannot be removed because other objects depend on it.\n"
        "Details: %(details)s"
    )


class RbacPolicyExists(errors.Conflict):
    code = "DuplicateRbacPolicyEntry"
    message = "An RBAC policy already exists with those values."


class OverQuota(errors.Conflict):
    message = "Quota exceeded for resources: %(overs)s."


class QuotaLimitTooLow(errors.BadRequest):
    message = (
        "Quota limit %(limit)s of %(resource)s must be greater than or equal to what is in use: %(used)s."
    )


class RevisionNumberConstraintFailed(errors.PreconditionFailed):
    message = "Constrained to %(expected)s, but current revision is %(current)s"

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)


# Addresses and prefixes that do not fit


class InvalidIpForNetwork(errors.BadRequest):
    message = "IP address %(ip_address)s is not a valid IP for any of the subnets on the specified network."


class InvalidIpForSubnet(errors.BadRequest):
    message = "IP address %(ip_address)s is not a valid IP for the specified subnet."


class ExternalIpAddressExhausted(errors.BadRequest):
    message = "Unable to find any IP address on external network %(net_id)s."


class InvalidAllocationPool(errors.BadRequest):
    message = "The allocation pool %(pool)s is not valid."


class OutOfBoundsAllocationPool(errors.BadRequest):
    message = "The allocation pool %(pool)s spans beyond the subnet cidr %(subnet_cidr)s."


class OverlappingAllocationPools(errors.Conflict):
    message = "Found overlapping allocation pools: %(pool_1)s %(pool_2)s for subnet %(subnet_cidr)s."


class GatewayConflictWithAllocationPools(errors.Conflict):
    message = "Gateway ip %(ip_address)s conflicts with allocation pool %(pool)s."


class GatewayIpInUse(errors.Conflict):
    message = "Current gateway ip %(ip_address)s already in use by port %(port_id)s. Unable to update."


class HostRoutesExhausted(errors.BadRequest):
    message = (
        "Unable to complete operation for %(subnet_id)s. The number of host routes exceeds the limit "
        "%(quota)s."
    )


class DNSNameServersExhausted(errors.BadRequest):
    message = (
        "Unable to complete operation for %(subnet_id)s. The number of DNS nameservers exceeds the "
        "limit %(quota)s."
    )


class InvalidRoutes(errors.BadRequest):
    message = "Invalid format for routes: %(routes)s, %(reason)s"


class RoutesExhausted(errors.BadRequest):
    message = (
        "Unable to complete operation for %(router_id)s. The number of routes exceeds the maximum %(quota)s."
    )


class SubnetMismatchForPort(errors.BadRequest):
    message = "Subnet on port %(port_id)s does not match the requested subnet %(subnet_id)s."


class SubnetAllocationError(errors.Conflict):
    message = "Failed to allocate subnet: %(reason)s."


class MinPrefixSubnetAllocationError(errors.BadRequest):
    message = (
        "Unable to allocate subnet with prefix length %(prefixlen)s, minimum allowed prefix is "
        "%(min_prefixlen)s."
    )


class MaxPrefixSubnetAllocationError(errors.BadRequest):
    message = (
        "Unable to allocate subnet with prefix length %(prefixlen)s, maximum allowed prefix is "
        "%(max_prefixlen)s."
    )


class SubnetPoolDeleteError(errors.BadRequest):
    message = "Unable to delete subnet pool: %(reason)s."


class SubnetPoolQuotaExceeded(errors.Conflict):
    message = "Per-tenant subnet pool prefix quota exceeded."


class PrefixVersionMismatch(errors.BadRequest):
    message = "Cannot mix IPv4 and IPv6 prefixes in a subnet pool."


class EmptySubnetPoolPrefixList(errors.BadRequest):
    message = "Empty subnet pool prefix list."


class IllegalSubnetPoolPrefixBounds(errors.BadRequest):
    message = "Illegal prefix bounds: %(prefix_type)s=%(prefixlen)s, %(base_prefix_type)s=%(base_prefixlen)s."


class IllegalSubnetPoolPrefixUpdate(errors.BadRequest):
    message = "Illegal update to prefixes: %(msg)s."


class AddressScopePrefixConflict(errors.Conflict):
    message = (
        "Failed to associate address scope: subnetpools within an address scope must have unique prefixes."
    )


# Requests that make no sense


class BadRouterRequest(errors.BadRequest):
    code = "BadRequest"
    message = "Bad router request: %(msg)s."


class BadFloatingIPRequest(errors.BadRequest):
    code = "BadRequest"
    message = "Bad floatingip request: %(msg)s."


class DeviceIDNotOwnedByTenant(errors.Conflict):
    message = (
        "The following device_id %(device_id)s is not owned by your tenant or matches another tenants router."
    )


class NetworkMTUSubnetConflict(errors.Conflict):
    message = "MTU %(mtu)s of network %(id)s is too low for subnets of IPv%(version)s: they need %(least)s."


class InvalidSharedSetting(errors.Conflict):
    message = "Unable to reconfigure sharing settings for network %(network)s. Multiple tenants are using it."


class PortSecurityAndIPRequiredForSecurityGroups(errors.Conflict):
    message = (
        "Port security must be enabled and port must have an IP address in order to use security groups."
    )


class PortSecurityPortHasSecurityGroup(errors.Conflict):
    message = (
        "Port has security group associated. Cannot disable port security or IP address until security "
        "group is removed"
    )


class AddressPairAndPortSecurityRequired(errors.Conflict):
    message = "Port Security must be enabled in order to have allowed address pairs on a port."


class DuplicateAddressPairInRequest(errors.BadRequest):
    message = (
        "Request contains duplicate address pair: mac_address %(mac_address)s ip_address %(ip_address)s."
    )


class AllowedAddressPairExhausted(errors.BadRequest):
    message = "The number of allowed address pair exceeds the maximum %(quota)s."


class SecurityGroupInvalidPortRange(errors.BadRequest):
    message = "For TCP/UDP protocols, port_range_min must be <= port_range_max"


class SecurityGroupInvalidIcmpValue(errors.BadRequest):
    message = "Invalid value for ICMP %(field)s (%(attr)s) %(value)s. It must be 0 to 255."


class SecurityGroupMissingIcmpType(errors.BadRequest):
    message = "ICMP code (port-range-max) %(value)s is provided but ICMP type (port-range-min) is missing."


class SecurityGroupInvalidPortValue(errors.BadRequest):
    message = "Invalid value for port %(port)s"


class SecurityGroupInvalidProtocolForPort(errors.BadRequest):
    message = (
        "Invalid protocol %(protocol)s for port range, only supported for TCP, UDP, UDPLITE, SCTP and DCCP."
    )


class SecurityGroupProtocolRequiredWithPorts(errors.BadRequest):
    message = "Must also specify protocol if port range is given."


class SecurityGroupRuleInvalidProtocol(errors.BadRequest):
    message = (
        "Security group rule protocol %(protocol)s not supported. Only protocol values %(values)s and integer "
        "representations [0 to 255] are supported."
    )


class SecurityGroupRuleInvalidEtherType(errors.BadRequest):
    message = (
        "Security group rule for ethertype '%(ethertype)s' not supported. Allowed values are %(values)s."
    )


class SecurityGroupEthertypeConflictWithProtocol(errors.BadRequest):
    message = "Invalid ethertype %(ethertype)s for protocol %(protocol)s."


class SecurityGroupRemoteGroupAndRemoteIpPrefix(errors.BadRequest):
    message = "Only remote_ip_prefix or remote_group_id may be provided."


class SecurityGroupRuleParameterConflict(errors.BadRequest):
    message = "Conflicting value ethertype %(ethertype)s for CIDR %(cidr)s"


class AddressScopeUpdateError(errors.BadRequest):
    message = "Unable to update address scope %(id)s : %(reason)s"


class IllegalSubnetPoolUpdate(errors.BadRequest):
    message = "Illegal subnetpool update : %(reason)s."


class AutoAllocationFailure(errors.Conflict):
    message = "Deployment error: %(reason)s."


class TenantQuotaNotFound(errors.NotFound):
    message = "Quota for tenant %(tenant_id)s could not be found."
