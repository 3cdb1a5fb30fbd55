"""OS::Keystone::Project.

https://docs.openstack.org/heat/latest/template_guide/openstack.html#OS::Keystone::Project
"""

from ..identity_thing import DOMAIN, IdentityThing
from ..property import LIST, Attribute, boolean, listing, text


class Project(IdentityThing):
    name = "OS::Keystone::Project"
    description = "Heat Template Resource for Keystone Project."
    kind = "project"
    properties = {
        "name": text("Name of keystone project.", update=True),
        "domain": DOMAIN,
        "description": text("Description of keystone project.", default="", update=True),
        "enabled": boolean("This project is enabled or disabled.", default=True, update=True),
        "parent": text(
            "The name or ID of parent of this keystone project in hierarchy.", custom="keystone.project"
        ),
        "tags": listing("A list of tags for labeling and sorting projects.", text(), default=[], update=True),
    }
    attributes = {
        "name": Attribute("Project name."),
        "parent_id": Attribute("Parent project id."),
        "domain_id": Attribute("Domain id for project."),
        "enabled": Attribute("Flag of enable project.", "boolean"),
        "is_domain": Attribute("Indicates whether the project also acts as a domain.", "boolean"),
        "tags": Attribute("A list of tags for labeling and sorting projects.", LIST),
    }
    sent = {
        "name": "name",
        "domain": "domain_id",
        "description": "description",
        "enabled": "enabled",
        "parent": "parent_id",
        "tags": "tags",
    }
    named_by = {"domain": "domain", "parent": "project"}
