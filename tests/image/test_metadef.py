"""Metadata definitions: namespaces and what they hold, who sees and changes them, pages, schemas."""

from typing import Any

import jsonschema_rs
import pytest

from .conftest import Api

ALL = "metadefs/namespaces"
CPU = {"title": "CPU", "type": "integer", "minimum": 1}
WHOLE: dict[str, Any] = {
    "namespace": "OS::Test",
    "display_name": "Test",
    "visibility": "public",
    "resource_type_associations": [{"name": "OS::Nova::Flavor", "prefix": "hw:"}, {"name": "Own::Kind"}],
    "properties": {"cpu": CPU},
    "objects": [{"name": "db", "required": ["cpu"], "properties": {"cpu": CPU}}],
    "tags": [{"name": "one"}, {"name": "two"}],
}


async def status(api: Api, method: str, path: str, body: Any = None, **more: Any) -> int:
    if body is not None:
        more["json"] = body
    return (await api.request(method, path, **more)).status_code


async def made(api: Api, **values: Any) -> str:
    """A namespace of the administrator's; answers its path."""
    body = {"namespace": "ns", "visibility": "public", **values}
    answer = await api("root").request("POST", ALL, json=body)
    assert answer.status_code == 201, answer.text
    return f"{ALL}/{body['namespace']}"


async def test_a_namespace_is_made_with_all_that_it_holds(api: Api) -> None:
    root = api("root")
    answer = await root.request("POST", ALL, json=WHOLE)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"].endswith(f"/{ALL}/OS::Test")
    shown = await api.get(f"{ALL}/OS::Test")
    assert shown == answer.json()
    assert (shown["self"], shown["schema"]) == (
        "/v2/metadefs/namespaces/OS::Test",
        "/v2/schemas/metadefs/namespace",
    )
    assert (shown["owner"], shown["protected"], shown["visibility"]) == ("p0", False, "public")
    assert "description" not in shown
    assert [one["name"] for one in shown["resource_type_associations"]] == ["OS::Nova::Flavor", "Own::Kind"]
    assert shown["objects"][0]["required"] == ["cpu"]
    assert shown["properties"] == {"cpu": CPU}
    assert shown["tags"] == [{"name": "one"}, {"name": "two"}]
    types = [one["name"] for one in (await api.get("metadefs/resource_types"))["resource_types"]]
    assert {"OS::Glance::Image", "Own::Kind"} <= set(types)

    prefixed = await api.get(f"{ALL}/OS::Test?resource_type=OS::Nova::Flavor")
    assert list(prefixed["properties"]) == ["hw:cpu"]
    assert prefixed["objects"][0]["required"] == list(prefixed["objects"][0]["properties"]) == ["hw:cpu"]

    assert await status(root, "DELETE", f"{ALL}/OS::Test") == 204
    assert await status(root, "GET", f"{ALL}/OS::Test/objects/db") == 404


async def test_half_a_namespace_is_never_made(api: Api) -> None:
    root = api("root")
    twice = {**WHOLE, "tags": [{"name": "one"}, {"name": "one"}]}
    assert await status(root, "POST", ALL, twice) == 409
    assert await status(root, "GET", f"{ALL}/OS::Test") == 404


async def test_who_sees_and_who_changes(api: Api) -> None:
    await made(api, namespace="open")
    await made(api, namespace="alices", visibility="private", owner="p1")
    await made(api, namespace="hidden", visibility="private")
    seen = {one["namespace"] for one in (await api.get(ALL))["namespaces"]}
    assert seen == {"open", "alices"}
    assert {one["namespace"] for one in (await api("bob").get(ALL))["namespaces"]} == {"open"}
    everything = (await api("root").get(ALL))["namespaces"]
    assert {one["namespace"] for one in everything} == {"open", "alices", "hidden"}
    private = (await api("root").get(f"{ALL}?visibility=private"))["namespaces"]
    assert {one["namespace"] for one in private} == {"alices", "hidden"}
    for path in ("", "/objects", "/properties", "/tags", "/resource_types"):
        assert await status(api("rita"), "GET", f"{ALL}/alices{path}") == 200
        assert await status(api("bob"), "GET", f"{ALL}/alices{path}") == 404
    # Only administrators change; what is hidden is not there for others.
    assert await status(api, "POST", ALL, {"namespace": "mine"}) == 403
    assert await status(api, "PUT", f"{ALL}/alices", {"namespace": "alices"}) == 403
    assert await status(api, "DELETE", f"{ALL}/hidden") == 404
    assert await status(api, "POST", f"{ALL}/open/tags/x") == 403
    assert await status(api, "POST", f"{ALL}/open/objects", {"name": "x"}) == 403
    assert await status(api, "POST", f"{ALL}/hidden/objects", {"name": "x"}) == 404


async def test_a_namespace_is_replaced(api: Api) -> None:
    path, root = await made(api, description="words", tags=[{"name": "stays"}]), api("root")
    assert await status(root, "PUT", path, {"namespace": "renamed", "protected": True}) == 200
    shown = await root.get(f"{ALL}/renamed")
    assert (shown["visibility"], shown["protected"]) == ("private", True)
    assert "description" not in shown
    assert shown["tags"] == [{"name": "stays"}]
    assert await status(root, "GET", path) == 404
    await made(api)
    assert await status(root, "PUT", path, {"namespace": "renamed"}) == 409
    assert await status(root, "POST", ALL, {"namespace": "ns"}) == 409


async def test_what_is_protected_stays(api: Api) -> None:
    path, root = await made(api, **{**WHOLE, "protected": True}), api("root")
    for below in (
        "",
        "/objects",
        "/objects/db",
        "/properties",
        "/properties/cpu",
        "/tags",
        "/tags/one",
        "/resource_types/OS::Nova::Flavor",
    ):
        assert await status(root, "DELETE", path + below) == 403, below
    assert await status(root, "PUT", path, {"namespace": "OS::Test"}) == 200
    for below in ("/objects/db", "/properties/cpu", "/tags/one", "/resource_types/Own::Kind"):
        assert await status(root, "DELETE", path + below) == 204, below
        assert await status(root, "DELETE", path + below) == 404, below
    for below in ("/objects", "/properties", "/tags", ""):
        assert await status(root, "DELETE", path + below) == 204, below


async def test_objects(api: Api) -> None:
    path, root = await made(api) + "/objects", api("root")
    made_object = await root.request("POST", path, json={"name": "o", "properties": {"cpu": CPU}})
    assert made_object.status_code == 201
    assert made_object.json()["self"] == "/v2/metadefs/namespaces/ns/objects/o"
    assert await status(root, "POST", path, {"name": "o"}) == 409
    assert await status(root, "PUT", f"{path}/o", {"name": "p", "description": "d"}) == 200
    shown = await api.get(f"{path}/p")
    assert (shown["description"], shown["properties"], shown["required"]) == ("d", {}, [])
    assert [one["name"] for one in (await api.get(path))["objects"]] == ["p"]
    assert await status(root, "PUT", f"{path}/o", {"name": "o"}) == 404
    assert await status(api, "GET", f"{path}?limit=0") == 400


async def test_properties(api: Api) -> None:
    path = await made(api, resource_type_associations=[{"name": "OS::Nova::Flavor", "prefix": "hw:"}])
    path, root = path + "/properties", api("root")
    answer = await root.request("POST", path, json={"name": "cpu", **CPU})
    assert (answer.status_code, answer.json()) == (201, {"name": "cpu", **CPU})
    assert await status(root, "POST", path, {"name": "cpu", **CPU}) == 409
    assert await status(root, "POST", path, CPU) == 400
    assert (await api.get(f"{path}/hw:cpu?resource_type=OS::Nova::Flavor"))["name"] == "cpu"
    assert await status(api, "GET", f"{path}/cpu?resource_type=OS::Nova::Flavor") == 404
    assert await status(api, "GET", f"{path}/hw:cpu?resource_type=OS::Nova::Server") == 404
    changed = {"name": "ram", "title": "RAM", "type": "integer"}
    assert await status(root, "PUT", f"{path}/cpu", changed) == 200
    assert (await api.get(path))["properties"] == {"ram": changed}


async def test_tags(api: Api) -> None:
    path, root = await made(api) + "/tags", api("root")

    async def names(query: str = "") -> list[str]:
        return [one["name"] for one in (await api.get(path + query))["tags"]]

    assert await status(root, "POST", path, {"tags": [{"name": "a"}, {"name": "b"}]}) == 201
    assert await status(root, "POST", path, {"tags": [{"name": "c"}, {"name": "d"}]}) == 201
    assert await names("?sort_key=name&sort_dir=asc") == ["c", "d"]
    appending = {"x-openstack-append": "True"}
    assert await status(root, "POST", path, {"tags": [{"name": "e"}]}, headers=appending) == 201
    assert await status(root, "POST", path, {"tags": [{"name": "e"}]}, headers=appending) == 409
    assert await names("?sort_key=name&sort_dir=asc&limit=2") == ["c", "d"]
    assert await names("?sort_key=name&sort_dir=asc&limit=2&marker=d") == ["e"]
    assert await status(api, "GET", f"{path}?marker=none") == 404
    assert await status(root, "POST", f"{path}/f") == 201
    assert await status(root, "POST", f"{path}/f") == 409
    assert await status(root, "POST", f"{path}/{'x' * 81}") == 400
    assert await status(root, "PUT", f"{path}/f", {"name": "g"}) == 200
    assert await status(root, "PUT", f"{path}/g", {"name": "e"}) == 409
    assert (await api.get(f"{path}/g"))["name"] == "g"
    # A marker is looked for among the tags of this namespace alone.
    await made(api, namespace="other", tags=[{"name": "zz"}, {"name": "c"}])
    assert await status(api, "GET", f"{path}?marker=zz") == 404


async def test_associations(api: Api) -> None:
    path, root = await made(api) + "/resource_types", api("root")
    body = {"name": "OS::Cinder::Volume", "prefix": "v_", "properties_target": "image"}
    answer = await root.request("POST", path, json=body)
    assert answer.status_code == 201
    assert answer.json().items() >= body.items()
    assert await status(root, "POST", path, body) == 409
    (listed,) = (await api.get(path))["resource_type_associations"]
    assert listed == answer.json()
    about_volumes = (await api.get(f"{ALL}?resource_types=OS::Cinder::Volume,x"))["namespaces"]
    assert [one["namespace"] for one in about_volumes] == ["ns"]
    assert about_volumes[0]["resource_type_associations"] == [listed]
    assert (await api.get(f"{ALL}?resource_types=x"))["namespaces"] == []


async def test_namespaces_in_pages(api: Api) -> None:
    for name in "abc":
        await made(api, namespace=name)
    first = await api.get(f"{ALL}?limit=2&sort_key=namespace&sort_dir=asc")
    assert [one["namespace"] for one in first["namespaces"]] == ["a", "b"]
    assert first["first"] == f"/v2/{ALL}?limit=2&sort_key=namespace&sort_dir=asc"
    second = await api.get(first["next"].removeprefix("/v2/"))
    assert [one["namespace"] for one in second["namespaces"]] == ["c"]
    assert "next" not in second
    for wrong in ("limit=-1", "limit=x", "sort_dir=up", "sort_key=secret", "visibility=shared"):
        assert await status(api, "GET", f"{ALL}?{wrong}") == 400, wrong
    assert await status(api, "GET", f"{ALL}?marker=none") == 404


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        ({}, 400),
        ([], 400),
        ({"namespace": "x" * 81}, 400),
        ({"namespace": ""}, 400),
        ({"namespace": "x", "extra": 1}, 400),
        ({"namespace": "x", "visibility": "shared"}, 400),
        ({"namespace": "x", "self": "y"}, 403),
        ({"namespace": "x", "properties": {"p": {"title": "no type"}}}, 400),
        ({"namespace": "x", "properties": {"p" * 81: CPU}}, 400),
        ({"namespace": "x", "objects": [{"description": "no name"}]}, 400),
        ({"namespace": "x", "tags": [{"name": "t" * 81}]}, 400),
        ({"namespace": "x", "properties": {"p": {**CPU, "pattern": "("}}}, 400),
    ],
)
async def test_what_is_no_namespace(api: Api, body: Any, refused: int) -> None:
    assert await status(api("root"), "POST", ALL, body) == refused
    assert (await api("root").get(ALL))["namespaces"] == []


async def test_what_is_shown_matches_the_schemas(api: Api) -> None:
    await made(api, **WHOLE)
    for one, many, path in (
        ("namespace", "namespaces", ALL),
        ("object", "objects", f"{ALL}/OS::Test/objects"),
        ("property", "properties", f"{ALL}/OS::Test/properties"),
        ("resource_type", "resource_types", f"{ALL}/OS::Test/resource_types"),
        ("tag", "tags", f"{ALL}/OS::Test/tags"),
    ):
        item = await api.get(f"schemas/metadefs/{one}")
        assert item["name"] == (one if one != "resource_type" else "resource_type_association")
        schema = await api.get(f"schemas/metadefs/{many}")
        jsonschema_rs.validator_for(schema).validate(await api.get(path))
    assert await status(api, "GET", "schemas/metadefs/nothing") == 404
