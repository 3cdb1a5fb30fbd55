"""What identity refuses, in upstream's words."""

from aerostat.kernel.errors import BadRequest, Conflict, Forbidden, NotFound, Unauthorized


class UserNotFound(NotFound):
    message = "Could not find user: %(id)s."


class ProjectNotFound(NotFound):
    message = "Could not find project: %(id)s."


class DomainNotFound(NotFound):
    message = "Could not find domain: %(id)s."


class GroupNotFound(NotFound):
    message = "Could not find group: %(id)s."


class RoleNotFound(NotFound):
    message = "Could not find role: %(id)s."


class ServiceNotFound(NotFound):
    message = "Could not find service: %(id)s."


class EndpointNotFound(NotFound):
    message = "Could not find endpoint: %(id)s."


class RegionNotFound(NotFound):
    message = "Could not find region: %(id)s."


class AssignmentNotFound(NotFound):
    message = (
        "Could not find role assignment with role: %(role)s, user or group: %(actor)s, "
        "project, domain, or system: %(target)s."
    )


class AlreadyThere(Conflict):
    message = (
        "Conflict occurred attempting to store %(kind)s - Duplicate entry found with name %(name)s%(where)s."
    )


class DomainEnabled(Forbidden):
    message = "Cannot delete a domain that is enabled, please disable it first."


class ProjectNotLeaf(Forbidden):
    message = "Cannot delete the project %(id)s since it is not a leaf in the hierarchy."


class TooDeep(Forbidden):
    message = "Max hierarchy depth reached for %(id)s branch: at most %(deepest)s levels, the domain counted."


class RoleImmutable(Forbidden):
    message = "Cannot modify %(kind)s %(id)s: it is immutable. Unset the immutable option first."


class BadParent(BadRequest):
    message = "%(reason)s"


class ApplicationCredentialNotFound(NotFound):
    message = "Could not find Application Credential: %(id)s."


class AccessRuleNotFound(NotFound):
    message = "Could not find Access Rule: %(id)s."


class TrustNotFound(NotFound):
    message = "Could not find trust: %(id)s."


class CredentialNotFound(NotFound):
    message = "Could not find credential: %(id)s."


class InvalidApplicationCredential(BadRequest):
    message = "Invalid application credential: %(reason)s"


class RoleNotHeld(Forbidden):
    message = "%(reason)s"


class Delegated(Forbidden):
    """A token that stands for a part of somebody's rights makes nothing that would outlast or exceed it."""

    message = "Using method '%(method)s' is not allowed for %(what)s."


class ProhibitedImplication(Forbidden):
    message = "%(implied)s cannot be an implied roles"


class RegisteredLimitNotFound(NotFound):
    message = "Could not find registered limit for %(id)s."


class LimitNotFound(NotFound):
    message = "Could not find limit for %(id)s."


class NoRegisteredLimit(Forbidden):
    message = "Unable to create a limit that has no corresponding registered limit."


class RegisteredLimitInUse(Forbidden):
    message = "Unable to update or delete registered limit %(id)s because there are project limits associated with it."


class InvalidLimit(Forbidden):
    message = "Invalid resource limit: %(reason)s."


class PolicyNotFound(NotFound):
    message = "Could not find policy: %(id)s."


class EndpointGroupNotFound(NotFound):
    message = "Could not find Endpoint Group: %(id)s."


class DomainConfigNotFound(NotFound):
    message = "Could not find %(what)s in domain configuration for domain %(id)s."


class InvalidDomainConfig(Forbidden):
    message = "Invalid domain specific configuration: %(reason)s."


class PasswordExpired(Unauthorized):
    message = "The password is expired and needs to be changed for user: %(id)s."


class WeakPassword(BadRequest):
    message = "The password does not match the requirements: %(reason)s."


class PasswordLocked(BadRequest):
    message = (
        "Password validation error: You cannot change your password at this time: it is locked. Ask your "
        "administrator for another one."
    )


class PasswordTooYoung(BadRequest):
    message = (
        "Password validation error: You cannot change your password at this time: it must be used for "
        "%(min_age_days)d day(s). Please try again in %(days_left)d day(s), or ask your administrator for another one."
    )


class PasswordUsedBefore(BadRequest):
    message = (
        "Password validation error: The new password cannot be identical to a previous password. The last "
        "%(unique_count)d must differ."
    )


class ConsumerNotFound(NotFound):
    message = "Could not find consumer: %(id)s."


class OAuthTokenNotFound(NotFound):
    message = "Could not find %(kind)s token: %(id)s."


class IdentityProviderNotFound(NotFound):
    message = "Could not find Identity Provider: %(id)s."


class ProtocolNotFound(NotFound):
    message = "Could not find federated protocol %(id)s for Identity Provider: %(idp_id)s."


class MappingNotFound(NotFound):
    message = "Could not find mapping: %(id)s."


class ServiceProviderNotFound(NotFound):
    message = "Could not find Service Provider: %(id)s."
