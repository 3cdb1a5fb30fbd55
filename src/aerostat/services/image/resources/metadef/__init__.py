"""Metadata definitions: what the properties of images, flavors, volumes mean, for those who choose them in a form.

https://docs.openstack.org/api-ref/image/v2/metadefs-index.html
"""

from .namespace import Namespace
from .object import Object
from .property import Property
from .resource_type import ResourceType
from .schema import MetadefSchemas
from .tag import Tag

RESOURCES = (MetadefSchemas, ResourceType, Namespace, Object, Property, Tag)
