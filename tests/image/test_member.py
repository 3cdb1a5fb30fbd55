"""Members: images shared with other projects, and what each of them may see and do."""

import pytest

from .conftest import Api


async def test_a_pending_image_is_there_for_who_knows_it_and_not_in_lists(api: Api) -> None:
    image, bob = await api.filled(), api("bob")
    await api.share(image["id"], "p2")
    assert await bob.ids() == set()
    assert await bob.ids("?visibility=shared&member_status=pending") == {image["id"]}
    assert await bob.ids("?member_status=all") == {image["id"]}
    assert (await bob.request("GET", f"images/{image['id']}")).status_code == 200
    assert (await bob.request("GET", f"images/{image['id']}/file")).content == b"some data"


async def test_an_accepted_image_is_listed_and_a_rejected_one_is_not(api: Api) -> None:
    image, bob = await api.filled(), api("bob")
    await api.share(image["id"], "p2", "accepted")
    assert await bob.ids() == {image["id"]}
    assert await bob.ids("?visibility=shared") == {image["id"]}
    assert await bob.ids("?visibility=private") == set()
    await bob.request("PUT", f"images/{image['id']}/members/p2", json={"status": "rejected"})
    assert await bob.ids() == set()
    assert await bob.ids("?member_status=rejected") == {image["id"]}


async def test_a_member_uses_the_image_and_changes_nothing_of_it(api: Api) -> None:
    image, bob = await api.filled(), api("bob")
    await api.share(image["id"], "p2", "accepted")
    path = f"images/{image['id']}"
    assert (await bob.request("DELETE", path)).status_code == 403
    assert (await bob.patch(image["id"], {"op": "replace", "path": "/name", "value": "x"})).status_code == 403
    assert (await bob.request("PUT", f"{path}/tags/x")).status_code == 403
    assert (await bob.request("POST", f"{path}/members", json={"member": "p3"})).status_code == 403
    assert (await bob.request("DELETE", f"{path}/members/p2")).status_code == 403
    assert (await bob.upload(image["id"], b"mine")).status_code == 403


async def test_members_do_not_learn_of_each_other(api: Api) -> None:
    image = await api.filled()
    path = f"images/{image['id']}/members"
    await api.share(image["id"], "p2", "accepted")
    await api.share(image["id"], "p3")
    seen = (await api("bob").get(path))["members"]
    assert [member["member_id"] for member in seen] == ["p2"]
    assert (await api("bob").request("GET", f"{path}/p3")).status_code == 404
    assert (await api("bob").request("PUT", f"{path}/p3", json={"status": "accepted"})).status_code == 404
    own = await api.get(path)
    assert [member["member_id"] for member in own["members"]] == ["p2", "p3"]
    assert own["schema"] == "/v2/schemas/members"


async def test_only_the_member_decides(api: Api) -> None:
    image = await api.filled()
    await api.share(image["id"], "p2")
    path = f"images/{image['id']}/members/p2"
    assert (await api.request("PUT", path, json={"status": "accepted"})).status_code == 403
    assert (await api("bob").request("PUT", path, json={"status": "perhaps"})).status_code == 400
    assert (await api("bob").request("PUT", path, json={})).status_code == 400
    decided = (await api("bob").request("PUT", path, json={"status": "accepted"})).json()
    assert decided["status"] == "accepted"
    assert set(decided) == {"image_id", "member_id", "status", "created_at", "updated_at", "schema"}


async def test_unsharing_takes_the_image_away(api: Api) -> None:
    image = await api.filled()
    await api.share(image["id"], "p2", "accepted")
    path = f"images/{image['id']}/members/p2"
    assert (await api.request("DELETE", path)).status_code == 204
    assert (await api.request("DELETE", path)).status_code == 404
    assert (await api("bob").request("GET", f"images/{image['id']}")).status_code == 404


async def test_an_image_that_is_made_private_is_gone_for_its_members(api: Api) -> None:
    image = await api.filled()
    await api.share(image["id"], "p2", "accepted")
    await api.patch(image["id"], {"op": "replace", "path": "/visibility", "value": "private"})
    assert await api("bob").ids() == set()
    assert (await api("bob").request("GET", f"images/{image['id']}")).status_code == 404


@pytest.mark.parametrize("visibility", ["private", "community"])
async def test_only_shared_images_have_members(api: Api, visibility: str) -> None:
    image = await api.make(visibility=visibility)
    path = f"images/{image['id']}/members"
    assert (await api.request("POST", path, json={"member": "p2"})).status_code == 403
    assert (await api.request("GET", path)).status_code == 403


async def test_odd_members(api: Api) -> None:
    image = await api.make()
    path = f"images/{image['id']}/members"
    for body in (None, {}, {"member": ""}, {"member": 7}, {"member": "x" * 256}, []):
        assert (await api.request("POST", path, json=body)).status_code == 400
    await api.share(image["id"], "p2")
    assert (await api.request("POST", path, json={"member": "p2"})).status_code == 409
    await api.share(image["id"], "p3")
    await api.share(image["id"], "p4")
    assert (await api.request("POST", path, json={"member": "p5"})).status_code == 413
    assert (await api.request("GET", f"{path}/p9")).status_code == 404
