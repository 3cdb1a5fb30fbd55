"""OS::Keystone::Role.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Keystone::Role
"""

from ..identity_thing import IdentityThing
from ..property import text


class Role(IdentityThing):
    name = "OS::Keystone::Role"
    description = "Heat Template Resource for Keystone Role."
    kind = "role"
    physical_name_length = 255
    properties = {
        "name": text("Name of keystone role.", update=True),
        "domain": text("Name or id of keystone domain for the role.", custom="keystone.domain"),
    }
    sent = {"name": "name", "domain": "domain_id"}
    named_by = {"domain": "domain"}
