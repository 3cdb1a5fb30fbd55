"""People and projects, as the SDK and the command line client see them."""

import base64
import json
import time

import openstack.exceptions
import pytest
from keystoneauth1.exceptions import MissingAuthMethods
from keystoneauth1.identity import v3
from keystoneauth1.session import Session

from aerostat.cli import main
from aerostat.services.identity.methods.totp import passcode
from aerostat.testing import Cloud
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


def test_two_factors_with_the_official_client(shared_aerostat_cloud, admin):
    secret = base64.b32encode(b"12345678901234567890").decode()
    rules = {"multi_factor_auth_rules": [["password", "totp"]]}
    user = admin.identity.create_user(name="two", password="factors", domain_id="default", options=rules)
    admin.identity.create_credential(type="totp", blob=secret, user_id=user.id)
    url = f"{shared_aerostat_cloud.url}/identity/v3"
    one = v3.Password(url, username="two", password="factors", user_domain_id="default", unscoped=True)
    with pytest.raises(MissingAuthMethods) as missing:
        one.get_access(Session())
    assert missing.value.required_auth_methods == [["password", "totp"]]
    both = {"auth_url": url, "username": "two", "user_domain_id": "default", "unscoped": True}
    code = passcode(secret, int(time.time()) // 30).decode()
    methods = v3.MultiFactor(auth_methods=["v3password", "v3totp"], password="factors", passcode=code, **both)
    assert methods.get_access(Session()).user_id == user.id
    admin.identity.delete_user(user)


def test_a_running_cloud_sees_what_the_operator_does(tmp_path, capsys):
    """A file that is taken in, and keys that are changed, by another process: within a second, and nobody is out."""
    file = tmp_path / "people.yaml"
    with Cloud(state=tmp_path / "s", log_level="error") as cloud:
        assert main(["identity", "export", "--state", str(tmp_path / "s")]) == 0
        exported = json.loads(capsys.readouterr().out)
        hashed = next(one["password_hash"] for one in exported["users"] if one["name"] == "demo")
        with connect(cloud, cloud.auth_of("demo")) as demo:
            assert demo.authorize()
            assert main(["identity", "rotate-keys", "--state", str(tmp_path / "s")]) == 0
            people = {
                "version": 1,
                "users": [{"name": "ada", "domain": "Default", "password_hash": hashed}],
                "assignments": [{"role": "reader", "user": "ada", "project": "demo"}],
            }
            file.write_text(json.dumps(people))
            assert main(["identity", "import", str(file), "--state", str(tmp_path / "s")]) == 0
            assert list(demo.compute.servers()) == []
        with connect(cloud, {**cloud.auth_of("demo"), "username": "ada"}) as ada:
            assert ada.authorize()
            assert list(ada.compute.servers()) == []


LOOKS = {
    "identity": "/v3/auth/projects",
    "compute": "/servers",
    "image": "/v2/images",
    "network": "/v2.0/networks",
    "placement": "/resource_providers",
    "orchestration": "/stacks",
    "object-store": "",
}


def test_a_token_that_is_no_good_opens_no_room(shared_aerostat_cloud, admin):
    with connect(shared_aerostat_cloud, shared_aerostat_cloud.auth_of("admin")) as connection:
        session, token = connection.session, connection.authorize()
        urls = {kind: session.get_endpoint(service_type=kind) + path for kind, path in LOOKS.items()}

        def looks(token):
            headers = {"X-Auth-Token": token}
            ask = {"authenticated": False, "headers": headers, "raise_exc": False}
            return {kind: session.get(url, **ask).status_code for kind, url in urls.items()}

        good = looks(token)
        assert set(good.values()) <= {200, 204}, good
        assert set(looks(token[:-6] + ("A" if token[-6] != "A" else "B") + token[-5:]).values()) == {401}
        assert set(looks(token[:40]).values()) == {401}
        session.delete(
            f"{urls['identity'].removesuffix('projects')}tokens", headers={"X-Subject-Token": token}
        )
        assert set(looks(token).values()) == {401}
        auth = shared_aerostat_cloud.auth_of("demo")
        auth = {name: auth[name] for name in ("auth_url", "username", "password", "user_domain_id")}
        nowhere = v3.Password(**auth, unscoped=True).get_access(Session()).auth_token
        answers = looks(nowhere)
        assert answers.pop("identity") == 200
        answers.pop("network")  # lists what has no owner: nothing
        assert set(answers.values()) == {403}, answers


def connect(cloud, auth):
    import openstack

    return openstack.connect(auth=auth, region_name="RegionOne", load_yaml_config=False, load_envvars=False)
