"""What can go wrong in the compute room. Texts are upstream's: clients and people search for them."""

from aerostat.kernel.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    InvalidState,
    NotFound,
    NotImplementedHere,
    OverQuota,
)


class ServerNotFound(NotFound):
    message = "Instance %(id)s could not be found."


class FlavorNotFound(NotFound):
    message = "Flavor %(id)s could not be found."


class FlavorExists(Conflict):
    message = "Flavor with name %(name)s already exists."


class FlavorIdExists(Conflict):
    message = "Flavor with ID %(id)s already exists."


class FlavorAccessExists(Conflict):
    message = "Flavor access already exists for flavor %(flavor_id)s and project %(project_id)s combination."


class FlavorAccessNotFound(NotFound):
    message = "Flavor access not found for %(flavor_id)s / %(project_id)s combination."


class ExtraSpecNotFound(NotFound):
    message = "Flavor %(flavor_id)s has no extra specs with key %(key)s."


class KeypairExists(Conflict):
    message = "Key pair '%(name)s' already exists."


class KeypairNotFound(NotFound):
    message = "Keypair %(name)s not found for user %(user_id)s"


class InvalidKeypair(BadRequest):
    message = "Keypair data is invalid: %(reason)s"


class ServerGroupNotFound(NotFound):
    message = "Instance group %(id)s could not be found."


class AggregateNotFound(NotFound):
    message = "Aggregate %(id)s could not be found."


class HostNotFound(NotFound):
    message = "Compute host %(id)s could not be found."


class MetadataItemNotFound(NotFound):
    message = "Metadata item was not found"


class TagNotFound(NotFound):
    message = "Server %(server_id)s has no tag '%(tag)s'"


class ServerLocked(Conflict):
    message = "Instance %(id)s is locked"


class ServerInState(InvalidState):
    """What a user is told who asks for something that the server's state does not allow."""

    message = "Cannot '%(event)s' instance %(id)s while it is in vm_state %(state)s"


class ServerNotReady(Conflict):
    message = "Instance %(id)s is not ready"


class NoValidHost(BadRequest):
    """Placement or the filters left no host. Ends in the server's fault, not in an answer."""

    status = 500
    message = "No valid host was found. %(reason)s"


class StorageIsShared(BadRequest):
    message = "%(host)s shares the storage of the server's disks. Block migration can not be used with shared storage."


class StorageNotShared(BadRequest):
    message = (
        "%(host)s is not on shared storage: Live migration can not be used without shared storage except "
        "a booted from volume VM which does not have a local disk."
    )


class QuotaExceeded(OverQuota):
    status = 403
    message = (
        "Quota exceeded for %(resource)s: Requested %(asked)s, but already used %(used)s of %(limit)s "
        "%(resource)s"
    )


class KeypairQuotaExceeded(Forbidden):
    message = "Quota exceeded, too many key pairs."


class ServerGroupQuotaExceeded(Forbidden):
    message = "Quota exceeded, too many server groups."


class NotYet(NotImplementedHere):
    message = "Aerostat does not offer %(what)s yet."
