"""OS::Keystone::Service.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Keystone::Service
"""

from ..identity_thing import IdentityThing
from ..property import boolean, text


class CatalogService(IdentityThing):
    name = "OS::Keystone::Service"
    description = "A resource for managing keystone service."
    kind = "service"
    physical_name_length = 255
    properties = {
        "name": text("Name of keystone service.", update=True),
        "description": text("Description of keystone service.", update=True),
        "type": text("Type of keystone Service.", required=True, update=True),
        "enabled": boolean("This service is enabled or disabled.", default=True, update=True),
    }
    sent = {"name": "name", "description": "description", "type": "type", "enabled": "enabled"}
