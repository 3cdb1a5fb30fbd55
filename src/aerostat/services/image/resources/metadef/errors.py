"""What is refused of metadata definitions, in upstream's words."""

from aerostat.kernel.errors import Conflict, Forbidden, NotFound


class NamespaceNotFound(NotFound):
    message = "Metadata definition namespace=%(namespace)s was not found."


class NamespaceExists(Conflict):
    message = "The metadata definition namespace=%(namespace)s already exists."


class NamespaceProtected(Forbidden):
    message = "Metadata definition namespace %(namespace)s is protected and cannot be deleted."


class ObjectNotFound(NotFound):
    message = "The metadata definition object with name=%(name)s was not found in namespace=%(namespace)s."


class ObjectExists(Conflict):
    message = "A metadata definition object with name=%(name)s already exists in namespace=%(namespace)s."


class ObjectProtected(Forbidden):
    message = "Metadata definition object %(name)s is protected and cannot be deleted."


class PropertyNotFound(NotFound):
    message = "The metadata definition property with name=%(name)s was not found in namespace=%(namespace)s."


class PropertyExists(Conflict):
    message = "A metadata definition property with name=%(name)s already exists in namespace=%(namespace)s."


class PropertyProtected(Forbidden):
    message = "Metadata definition property %(name)s is protected and cannot be deleted."


class PropertyPrefix(NotFound):
    message = (
        "Property %(name)s does not start with the expected resource type association prefix of '%(prefix)s'."
    )


class TagNotFound(NotFound):
    message = "The metadata definition tag with name=%(name)s was not found in namespace=%(namespace)s."


class TagExists(Conflict):
    message = (
        "A metadata tag with name=%(name)s already exists in namespace=%(namespace)s. "
        "(Please note that metadata tag names are case insensitive)."
    )


class TagProtected(Forbidden):
    message = "Metadata definition tag %(name)s is protected and cannot be deleted."


class AssociationNotFound(NotFound):
    message = (
        "The metadata definition resource-type association of resource-type=%(name)s to "
        "namespace=%(namespace)s, was not found."
    )


class AssociationExists(Conflict):
    message = (
        "The metadata definition resource-type association of resource-type=%(name)s to "
        "namespace=%(namespace)s already exists."
    )


class AssociationProtected(Forbidden):
    message = "Metadata definition resource-type-association %(name)s is protected and cannot be deleted."
