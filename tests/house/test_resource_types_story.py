"""Resource types that are made by other rooms, with all of them in one process, and guests that have accounts."""

from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openstack
import pytest

from aerostat.testing import Cloud
from tests.house.conftest import WAIT_S
from tests.waiting import eventually

from .test_stack_story import stack_in

Made = Callable[..., tuple[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with Cloud(log_level="error") as cloud:
        yield cloud


@pytest.fixture
def stack(cloud: Cloud, request: pytest.FixtureRequest) -> Made:
    """`stack(resources, outputs, who="admin", state=…)`: made, gone after the test; answers path and outputs."""

    def make(
        resources: dict[str, Any],
        outputs: dict[str, Any] | None = None,
        who: str = "admin",
        state: str = "CREATE_COMPLETE",
    ) -> tuple[str, dict[str, Any]]:
        heat = cloud.connect(who).orchestration
        name = request.node.name.replace("[", "-").replace("]", "").replace(":", "")
        template = body(resources, outputs)
        made = heat.create_stack(name=name, template=template)
        path = f"/stacks/{name}/{made.id}"

        def remove() -> None:
            heat.delete(path)
            stack_in(heat, path, "DELETE_COMPLETE")

        request.addfinalizer(remove)
        shown = stack_in(heat, path, state)
        return path, {one["output_key"]: one["output_value"] for one in shown["outputs"]}

    return make


def body(resources: dict[str, Any], outputs: dict[str, Any] | None = None) -> dict[str, Any]:
    shown = {name: {"value": value} for name, value in (outputs or {}).items()}
    return {"heat_template_version": "2018-08-31", "resources": resources, "outputs": shown}


def change(cloud: Cloud, path: str, resources: dict[str, Any], who: str = "admin") -> None:
    heat = cloud.connect(who).orchestration
    assert heat.put(path, json={"template": body(resources)}).status_code == 202
    stack_in(heat, path, "UPDATE_COMPLETE")


def test_identity_things(cloud: Cloud, stack: Made) -> None:
    def resources(enabled: bool = True, role: str = "reader") -> dict[str, Any]:
        return {
            "domain": {
                "type": "OS::Keystone::Domain",
                "properties": {"description": "d", "enabled": enabled},
            },
            "project": {
                "type": "OS::Keystone::Project",
                "properties": {"name": "of-a-stack", "domain": {"get_resource": "domain"}, "tags": ["a"]},
            },
            "role": {"type": "OS::Keystone::Role", "properties": {"name": "of-a-stack"}},
            "group": {
                "type": "OS::Keystone::Group",
                "properties": {
                    "domain": {"get_resource": "domain"},
                    "roles": [{"role": role, "project": {"get_resource": "project"}}],
                },
            },
            "user": {
                "type": "OS::Keystone::User",
                "properties": {
                    "domain": {"get_resource": "domain"},
                    "password": "not a secret here",
                    "email": "a@b.test",
                    "default_project": {"get_resource": "project"},
                    "groups": [{"get_resource": "group"}],
                    "roles": [{"role": {"get_resource": "role"}, "project": {"get_resource": "project"}}],
                },
            },
            "more": {
                "type": "OS::Keystone::UserRoleAssignment",
                "properties": {
                    "user": {"get_resource": "user"},
                    "roles": [{"role": "member", "domain": {"get_resource": "domain"}}],
                },
            },
            "of_group": {
                "type": "OS::Keystone::GroupRoleAssignment",
                "properties": {
                    "group": {"get_resource": "group"},
                    "roles": [{"role": "member", "project": {"get_resource": "project"}}],
                },
            },
            "region": {"type": "OS::Keystone::Region", "properties": {"description": "far away"}},
            "service": {"type": "OS::Keystone::Service", "properties": {"type": "odd", "name": "odd-one"}},
            "endpoint": {
                "type": "OS::Keystone::Endpoint",
                "properties": {
                    "service": {"get_resource": "service"},
                    "region": {"get_resource": "region"},
                    "interface": "public",
                    "url": "http://odd.test/",
                },
            },
        }

    outputs = {name: {"get_resource": name} for name in ("project", "user", "group", "region", "endpoint")}
    outputs["project_name"] = {"get_attr": ["project", "name"]}
    path, found = stack(resources(), outputs)
    assert found["project_name"] == "of-a-stack"
    identity = cloud.connection.identity
    user = identity.get_user(found["user"])
    assert (user.email, user.default_project_id) == ("a@b.test", found["project"])
    assert identity.get_endpoint(found["endpoint"]).region_id == found["region"]

    def roles(**of: str) -> set[str]:
        query = {"scope_project_id": found["project"], "include_names": True, **of}
        return {one.role["name"] for one in identity.role_assignments(**query)}

    assert roles(user_id=found["user"]) == {"of-a-stack"}
    assert roles(group_id=found["group"]) == {"reader", "member"}
    change(cloud, path, resources(enabled=False, role="manager"))
    assert roles(group_id=found["group"]) == {"manager", "member"}


def test_network_things(cloud: Cloud, stack: Made) -> None:
    def resources(hop: str = "10.61.0.9", limit: int = 20) -> dict[str, Any]:
        return {
            "scope": {"type": "OS::Neutron::AddressScope", "properties": {"name": "s"}},
            "net": {"type": "OS::Neutron::Net"},
            "subnet": {
                "type": "OS::Neutron::Subnet",
                "properties": {"network": {"get_resource": "net"}, "cidr": "10.61.0.0/24"},
            },
            "router": {"type": "OS::Neutron::Router"},
            "leg": {
                "type": "OS::Neutron::RouterInterface",
                "properties": {"router": {"get_resource": "router"}, "subnet": {"get_resource": "subnet"}},
            },
            "routes": {
                "type": "OS::Neutron::ExtraRouteSet",
                "properties": {
                    "router": {"get_resource": "router"},
                    "routes": [
                        {"destination": "10.70.0.0/24", "nexthop": "10.61.0.8"},
                        {"destination": "10.71.0.0/24", "nexthop": hop},
                    ],
                },
            },
            "route": {
                "type": "OS::Neutron::ExtraRoute",
                "properties": {
                    "router_id": {"get_resource": "router"},
                    "destination": "10.72.0.0/24",
                    "nexthop": "10.61.0.8",
                },
            },
            "shared": {
                "type": "OS::Neutron::RBACPolicy",
                "properties": {
                    "object_type": "network",
                    "object_id": {"get_resource": "net"},
                    "action": "access_as_shared",
                    "target_tenant": {"get_resource": "project"},
                },
            },
            "project": {"type": "OS::Keystone::Project"},
            "quota": {
                "type": "OS::Neutron::Quota",
                "properties": {"project": {"get_resource": "project"}, "network": limit},
            },
            "of_compute": {
                "type": "OS::Nova::Quota",
                "properties": {"project": {"get_resource": "project"}, "cores": limit, "floating_ips": 3},
            },
        }

    path, found = stack(
        resources(), {name: {"get_resource": name} for name in ("router", "project", "shared")}
    )
    network = cloud.connection.network

    def hops() -> set[str]:
        return {one["nexthop"] for one in network.get_router(found["router"]).routes}

    assert hops() == {"10.61.0.8", "10.61.0.9"}
    assert network.get_quota(found["project"]).networks == 20
    assert network.get_rbac_policy(found["shared"]).target_project_id == found["project"]
    change(cloud, path, resources("10.61.0.7", 30))
    assert hops() == {"10.61.0.8", "10.61.0.7"}
    assert len(network.get_router(found["router"]).routes) == 3
    assert network.get_quota(found["project"]).networks == 30
    assert cloud.connection.compute.get_quota_set(found["project"]).cores == 30


def test_compute_things(cloud: Cloud, stack: Made) -> None:
    host = next(iter(cloud.connection.compute.hypervisors())).name

    def resources(hosts: list[str], **metadata: str) -> dict[str, Any]:
        return {
            "hosts": {
                "type": "OS::Nova::HostAggregate",
                "properties": {
                    "name": "of-a-stack",
                    "availability_zone": "nova",
                    "hosts": hosts,
                    "metadata": metadata,
                },
            },
            "group": {"type": "OS::Nova::ServerGroup", "properties": {"name": "together"}},
        }

    path, found = stack(resources([host], disk="fast", old="x"), {"id": {"get_resource": "hosts"}})
    compute = cloud.connection.compute
    aggregate = compute.get_aggregate(found["id"])
    assert aggregate.hosts == [host]
    assert aggregate.metadata == {"availability_zone": "nova", "disk": "fast", "old": "x"}
    change(cloud, path, resources([], disk="slow"))
    aggregate = compute.get_aggregate(found["id"])
    assert aggregate.hosts == []
    assert aggregate.metadata == {"availability_zone": "nova", "disk": "slow"}


def deployed(transport: str, signal: str) -> dict[str, Any]:
    return {
        "server": {
            "type": "OS::Nova::Server",
            "properties": {
                "image": "aerostat-test",
                "flavor": "m1.nano",
                "networks": [{"network": "private"}],
                "user_data_format": "SOFTWARE_CONFIG",
                "software_config_transport": transport,
                "user_data": "#!/bin/sh\necho hello",
            },
        },
        "config": {"type": "OS::Heat::SoftwareConfig", "properties": {"config": "x", "group": "script"}},
        "deployment": {
            "type": "OS::Heat::SoftwareDeployment",
            "properties": {
                "config": {"get_resource": "config"},
                "server": {"get_resource": "server"},
                "signal_transport": signal,
            },
        },
    }


def test_a_guest_with_an_account(cloud: Cloud, stack: Made) -> None:
    """The agent signs in with what is in the user data, reads what is for it, and signals as itself."""
    heat = cloud.connect("demo").orchestration
    template = body(deployed("POLL_SERVER_HEAT", "HEAT_SIGNAL"))
    made = heat.create_stack(name="accounts", template=template)
    path = f"/stacks/accounts/{made.id}"

    def told() -> Any:
        answer = heat.get(f"{path}/resources/server/metadata").json()
        return answer.get("metadata", {}).get("deployments") and answer["metadata"]

    metadata = eventually(told, WAIT_S, every_s=0.05)
    settings = metadata["os-collect-config"]["heat"]
    guest = openstack.connect(
        auth_url=f"{cloud.url}/identity/v3",
        user_id=settings["user_id"],
        password=settings["password"],
        project_id=settings["project_id"],
    ).orchestration
    own = f"/stacks/{settings['stack_id']}/resources"
    read = guest.get(f"{own}/{settings['resource_name']}/metadata")
    assert read.status_code == 200
    assert read.json()["metadata"]["deployments"] == metadata["deployments"]
    server = heat.get(f"{path}/resources/server").json()["resource"]["physical_resource_id"]
    listed = guest.get(f"/software_deployments/metadata/{server}").json()["metadata"]
    assert listed == metadata["deployments"]
    # Nothing else is open to it.
    assert guest.get(f"{own}/deployment/metadata").status_code in (403, 404)
    assert guest.get(path).status_code in (403, 404)
    assert guest.get("/stacks").status_code == 403
    assert guest.post(f"{own}/deployment/signal", json={}).status_code in (403, 404)

    (config,) = metadata["deployments"]
    values = {one["name"]: one["value"] for one in config["inputs"]}
    assert values["deploy_user_id"] != settings["user_id"]
    sender = openstack.connect(
        auth_url=f"{cloud.url}/identity/v3",
        user_id=values["deploy_user_id"],
        password=values["deploy_password"],
        project_id=values["deploy_project_id"],
    ).orchestration
    where = f"/stacks/{values['deploy_stack_id']}/resources/{values['deploy_resource_name']}/signal"
    assert sender.post(where, json={"deploy_stdout": "done"}).status_code == 200
    stack_in(heat, path, "CREATE_COMPLETE")
    data = cloud.connection.compute.get_server(server).user_data
    text = b64decode(data).decode()
    assert "text/part-handler" in text
    assert "text/x-shellscript" in text
    heat.delete(path)
    stack_in(heat, path, "DELETE_COMPLETE")
    domain = cloud.connection.identity.find_domain("heat")
    assert list(cloud.connection.identity.users(domain_id=domain.id)) == []
    assert list(cloud.connection.identity.projects(domain_id=domain.id)) == []


def test_a_server_that_does_not_listen(cloud: Cloud, stack: Made) -> None:
    resources = deployed("POLL_SERVER_CFN", "CFN_SIGNAL")
    del resources["server"]["properties"]["user_data_format"]
    path, _ = stack(resources, who="demo", state="CREATE_FAILED")
    reason = cloud.connect("demo").orchestration.get(path).json()["stack"]["stack_status_reason"]
    assert "user_data_format should be set to SOFTWARE_CONFIG" in reason


def test_an_alarm_scales_in_the_owners_name(cloud: Cloud, stack: Made) -> None:
    """Servers of a group belong to the owner's project, whoever calls the address."""
    resources = {
        "group": {
            "type": "OS::Heat::AutoScalingGroup",
            "properties": {
                "min_size": 1,
                "max_size": 3,
                "resource": {
                    "type": "OS::Nova::Server",
                    "properties": {
                        "image": "aerostat-test",
                        "flavor": "m1.nano",
                        "networks": [{"network": "private"}],
                        "metadata": {"of": "group"},
                    },
                },
            },
        },
        "up": {
            "type": "OS::Heat::ScalingPolicy",
            "properties": {
                "auto_scaling_group_id": {"get_resource": "group"},
                "adjustment_type": "change_in_capacity",
                "scaling_adjustment": 1,
            },
        },
    }
    outputs = {"url": {"get_attr": ["up", "alarm_url"]}, "size": {"get_attr": ["group", "current_size"]}}
    path, found = stack(resources, outputs, who="demo")
    assert found["size"] == 1
    assert httpx.post(as_reached(cloud, found["url"])).status_code == 200

    def servers() -> Any:
        now = [one for one in cloud.connect("demo").compute.servers() if one.metadata.get("of") == "group"]
        return len(now) == 2 and all(one.status == "ACTIVE" for one in now) and now

    two = eventually(servers, WAIT_S, every_s=0.05)
    assert {one.user_id for one in two} == {cloud.connect("demo").current_user_id}
    assert cloud.connect("demo").orchestration.get(path).json()["stack"]["stack_status"] == "CREATE_COMPLETE"


def test_instances(cloud: Cloud, stack: Made) -> None:
    resources = {
        "config": {
            "type": "AWS::AutoScaling::LaunchConfiguration",
            "properties": {"ImageId": "aerostat-test", "InstanceType": "m1.nano", "UserData": "x"},
        },
        "group": {
            "type": "AWS::AutoScaling::AutoScalingGroup",
            "properties": {
                "AvailabilityZones": ["nova"],
                "LaunchConfigurationName": {"get_resource": "config"},
                "MinSize": 1,
                "MaxSize": 2,
                "DesiredCapacity": 2,
                "VPCZoneIdentifier": ["private-subnet"],
            },
        },
    }
    _, found = stack(resources, {"list": {"get_attr": ["group", "InstanceList"]}}, who="demo")
    addresses = found["list"].split(",")
    assert len(set(addresses)) == 2
    assert all(not one.startswith("0.") for one in addresses)


EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example(cloud: Cloud, request: pytest.FixtureRequest) -> Callable[[str], tuple[Any, str]]:
    """`example(file)`: a stack of it as demo, gone after the test; answers the client and the path."""

    def make(file: str) -> tuple[Any, str]:
        heat = cloud.connect("demo").orchestration
        name = file.partition(".")[0]
        text = (EXAMPLES / file).read_text()
        answer = heat.post("/stacks", json={"stack_name": name, "template": text, "timeout_mins": 5})
        assert answer.status_code == 201, answer.text
        path = f"/stacks/{name}/{answer.json()['stack']['id']}"

        def remove() -> None:
            heat.delete(path)
            stack_in(heat, path, "DELETE_COMPLETE")

        request.addfinalizer(remove)
        return heat, path

    return make


def as_reached(cloud: Cloud, url: str) -> str:
    """An address for guests as the test reaches it."""
    return cloud.url + url[url.index("/orchestration/") :]


def outputs_of(heat: Any, path: str) -> dict[str, Any]:
    shown = heat.get(path).json()["stack"]["outputs"]
    return {one["output_key"]: one["output_value"] for one in shown}


def test_the_example_of_scaling(cloud: Cloud, example: Any) -> None:
    heat, path = example("autoscaling.yaml")
    stack_in(heat, path, "CREATE_COMPLETE")
    found = outputs_of(heat, path)
    assert found["size"] == 1

    def has(size: int) -> Any:
        now = outputs_of(heat, path)
        return now["size"] == size and len([one for one in now["addresses"] if one]) == size

    assert httpx.post(as_reached(cloud, found["grow"])).status_code == 200
    eventually(lambda: has(2), WAIT_S, every_s=0.05)
    assert httpx.post(as_reached(cloud, found["shrink"])).status_code == 200
    eventually(lambda: has(1), WAIT_S, every_s=0.05)


def test_the_example_of_a_deployment(cloud: Cloud, example: Any) -> None:
    heat, path = example("software-deployment.yaml")

    def told() -> Any:
        return heat.get(f"{path}/resources/machine/metadata").json().get("metadata", {}).get("deployments")

    (config,) = eventually(told, WAIT_S, every_s=0.05)
    values = {one["name"]: one["value"] for one in config["inputs"]}
    assert values["greeting"] == "hello"
    answer = {"deploy_stdout": "hello from here", "answer": "6.1", "deploy_status_code": 0}
    assert httpx.post(as_reached(cloud, values["deploy_signal_id"]), json=answer).status_code == 200
    stack_in(heat, path, "CREATE_COMPLETE")
    assert outputs_of(heat, path) == {"said": "hello from here", "answer": "6.1", "code": 0}
