"""What placement refuses. https://docs.openstack.org/api-ref/placement/#errors"""

from aerostat.kernel.errors import BadRequest, Conflict, NotFound


class ProviderNotFound(NotFound):
    message = "No resource provider with uuid %(id)s found"


class InventoryNotFound(NotFound):
    message = "No inventory of class %(name)s found for resource provider %(id)s"


class GenerationConflict(Conflict):
    code = "placement.concurrent_update"
    message = "resource provider generation conflict"


class ConsumerGenerationConflict(Conflict):
    code = "placement.concurrent_update"
    message = "consumer generation conflict - expected %(expected)s but got %(given)s"


class ProviderInUse(Conflict):
    code = "placement.resource_provider.cannot_delete"
    message = "Unable to delete resource provider %(id)s: Resource provider has allocations."


class ProviderHasChildren(Conflict):
    code = "placement.resource_provider.cannot_delete_parent"
    message = "Unable to delete parent resource provider %(id)s: It has child resource providers."


class DuplicateProvider(Conflict):
    code = "placement.duplicate_name"
    message = "Conflicting resource provider name: %(name)s already exists."


class InventoryInUse(Conflict):
    code = "placement.inventory.inuse"
    message = "Inventory for '%(classes)s' on resource provider '%(id)s' in use."


class NoCapacity(Conflict):
    message = (
        "Unable to allocate inventory: Unable to create allocation for '%(name)s' on resource provider '%(id)s'. "
        "The requested amount would exceed the capacity."
    )


class UnknownTraits(BadRequest):
    message = "No such trait(s): %(names)s."
