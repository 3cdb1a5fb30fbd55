"""People and projects, as the SDK and the command line client see them."""

import json

import openstack.exceptions
import pytest

from tests.house import command_line


def test_the_command_line_client_gets_a_token_and_the_catalog(shared_aerostat_cloud):
    token = json.loads(command_line.openstack(shared_aerostat_cloud, "token", "issue", "-f", "json"))
    assert token["id"].startswith("gAAAA")
    catalog = json.loads(command_line.openstack(shared_aerostat_cloud, "catalog", "list", "-f", "json"))
    assert {"identity", "image", "network", "compute", "placement"} <= {one["Type"] for one in catalog}


def test_the_command_line_client_makes_a_server(shared_aerostat_cloud, demo):
    words = ["--image", "aerostat-test", "--flavor", "m1.nano", "--network", "private", "--wait"]
    made = command_line.openstack(shared_aerostat_cloud, "server", "create", *words, "by-cli", "-f", "json")
    assert json.loads(made)["status"] == "ACTIVE"
    listed = json.loads(command_line.openstack(shared_aerostat_cloud, "server", "list", "-f", "json"))
    assert [(one["Name"], one["Status"]) for one in listed] == [("by-cli", "ACTIVE")]
    assert listed[0]["Networks"]["private"]
    command_line.openstack(shared_aerostat_cloud, "server", "delete", "--wait", "by-cli")
    assert json.loads(command_line.openstack(shared_aerostat_cloud, "server", "list", "-f", "json")) == []


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
