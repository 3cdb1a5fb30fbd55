"""People and projects, as the SDK and the command line client see them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import openstack.exceptions
import pytest


def openstack_cli(cloud, *words: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    done = subprocess.run(
        [Path(sys.executable).with_name("openstack"), *words],
        env={**inherited, **cloud.environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_line_client_gets_a_token_and_the_catalog(shared_aerostat_cloud):
    token = json.loads(openstack_cli(shared_aerostat_cloud, "token", "issue", "-f", "json"))
    assert token["id"].startswith("gAAAA")
    catalog = json.loads(openstack_cli(shared_aerostat_cloud, "catalog", "list", "-f", "json"))
    assert {"identity", "image", "network", "compute", "placement"} <= {one["Type"] for one in catalog}


def test_the_command_line_client_makes_a_server(shared_aerostat_cloud, demo):
    words = ["--image", "aerostat-test", "--flavor", "m1.nano", "--network", "private", "--wait"]
    made = openstack_cli(shared_aerostat_cloud, "server", "create", *words, "by-cli", "-f", "json")
    assert json.loads(made)["status"] == "ACTIVE"
    listed = json.loads(openstack_cli(shared_aerostat_cloud, "server", "list", "-f", "json"))
    assert [(one["Name"], one["Status"]) for one in listed] == [("by-cli", "ACTIVE")]
    assert listed[0]["Networks"]["private"]
    openstack_cli(shared_aerostat_cloud, "server", "delete", "--wait", "by-cli")
    assert json.loads(openstack_cli(shared_aerostat_cloud, "server", "list", "-f", "json")) == []


def test_a_new_user_gets_in_by_a_role_and_is_out_without_it(shared_aerostat_cloud, admin):
    identity = admin.identity
    project = identity.create_project(name="lab", domain_id="default")
    user = identity.create_user(name="ada", password="engine", domain_id="default")
    auth = {
        **shared_aerostat_cloud.auth_of("demo"),
        "username": "ada",
        "password": "engine",
        "project_name": "lab",
    }
    with connect(shared_aerostat_cloud, auth) as ada:
        with pytest.raises(openstack.exceptions.SDKException, match="HTTP 401"):
            ada.authorize()
        identity.assign_project_role_to_user(project, user, identity.find_role("member"))
        assert ada.authorize()
        assert ada.current_project_id == project.id
        assert [one.name for one in ada.compute.servers()] == []
        with pytest.raises(openstack.exceptions.ForbiddenException):
            list(ada.identity.users())
        identity.unassign_project_role_from_user(project, user, identity.find_role("member"))
        ada.session.invalidate()
        with pytest.raises(openstack.exceptions.SDKException, match="HTTP 401"):
            ada.authorize()
    identity.delete_user(user)
    identity.delete_project(project)


def test_a_wrong_password_says_no_more_than_that(shared_aerostat_cloud):
    auth = {**shared_aerostat_cloud.auth_of("demo"), "password": "wrong"}
    with (
        connect(shared_aerostat_cloud, auth) as connection,
        pytest.raises(openstack.exceptions.SDKException, match="requires authentication"),
    ):
        connection.authorize()


def test_a_revoked_token_opens_nothing(shared_aerostat_cloud):
    with connect(shared_aerostat_cloud, shared_aerostat_cloud.auth_of("demo")) as connection:
        token = connection.authorize()
        headers = {"X-Auth-Token": token}
        url = f"{connection.compute.get_endpoint()}/servers"
        get = connection.session.get
        assert get(url, authenticated=False, headers=headers).status_code == 200
        revoked = connection.session.delete(
            f"{shared_aerostat_cloud.url}/identity/v3/auth/tokens", headers={"X-Subject-Token": token}
        )
        assert revoked.status_code == 204
        answer = get(url, authenticated=False, headers=headers, raise_exc=False)
        assert answer.status_code == 401


def connect(cloud, auth):
    import openstack

    return openstack.connect(auth=auth, region_name="RegionOne", load_yaml_config=False, load_envvars=False)


def test_a_program_with_an_application_credential(shared_aerostat_cloud, demo):
    me = demo.current_user_id
    made = demo.identity.create_application_credential(me, "robot", roles=[{"name": "reader"}])
    with openstack.connect(
        auth_type="v3applicationcredential",
        auth={
            "auth_url": f"{shared_aerostat_cloud.url}/identity/v3",
            "application_credential_id": made.id,
            "application_credential_secret": made.secret,
        },
        region_name="RegionOne",
        load_yaml_config=False,
        load_envvars=False,
    ) as robot:
        assert robot.current_project_id == demo.current_project_id
        assert isinstance(list(robot.compute.servers()), list)
        with pytest.raises(openstack.exceptions.ForbiddenException):
            robot.image.create_image(name="not by a reader", disk_format="raw", container_format="bare")
    demo.identity.delete_application_credential(me, made)


def test_a_token_without_a_project_explains_nothing(shared_aerostat_cloud, demo):
    network = demo.network.create_network(name="explained")
    url = f"{shared_aerostat_cloud.url}/aerostat/v1/explain/{network.id}"
    assert demo.session.get(url).status_code == 200
    auth = {**shared_aerostat_cloud.auth_of("demo"), "project_name": None, "project_domain_id": None}
    user = {"name": "demo", "password": auth["password"], "domain": {"id": "default"}}
    identity = {"methods": ["password"], "password": {"user": user}}
    body = {"auth": {"identity": identity, "scope": "unscoped"}}
    answer = demo.session.post(f"{auth['auth_url']}/auth/tokens", json=body, authenticated=False)
    token = {"X-Auth-Token": answer.headers["X-Subject-Token"]}
    refused = demo.session.get(url, headers=token, authenticated=False, raise_exc=False)
    assert refused.status_code == 404
    demo.network.delete_network(network)
