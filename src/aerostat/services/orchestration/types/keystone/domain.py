"""OS::Keystone::Domain.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Keystone::Domain
"""

from ..identity_thing import IdentityThing
from ..property import boolean, text


class Domain(IdentityThing):
    name = "OS::Keystone::Domain"
    description = "Heat Template Resource for Keystone Domain."
    kind = "domain"
    properties = {
        "name": text("The name of the domain.", update=True),
        "description": text("Description of keystone domain.", update=True),
        "enabled": boolean("This domain is enabled or disabled.", default=True, update=True),
    }
    sent = {"name": "name", "description": "description", "enabled": "enabled"}
