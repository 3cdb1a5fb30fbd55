"""Tasks, as administrators see them, and the older way to import that they are."""

from datetime import timedelta

from aerostat.kernel.clock import now
from aerostat.services.image import model
from aerostat.services.image.sweepers.old_tasks import sweep

from .conftest import Api
from .test_import import serve

IMPORT = {
    "type": "import",
    "input": {
        "import_from": "http://a.test/x",
        "import_from_format": "raw",
        "image_properties": {"name": "by a task"},
    },
}


async def test_a_task_makes_an_image(api: Api) -> None:
    root = api("root")
    serve(api, {"a.test/x": b"fetched"})
    answer = await root.request("POST", "tasks", json=IMPORT)
    assert answer.status_code == 201
    task = answer.json()
    assert (task["status"], task["type"], task["input"]) == ("pending", "import", IMPORT["input"])
    assert answer.headers["location"] == task["self"] == f"/v2/tasks/{task['id']}"
    await api.house.engine.settle()
    task = await root.get(f"tasks/{task['id']}")
    assert (task["status"], task["message"]) == ("success", "")
    image = await root.get(f"images/{task['result']['image_id']}")
    assert (image["status"], image["name"], image["size"]) == ("active", "by a task", 7)
    (listed,) = (await root.get("tasks?status=success&type=import"))["tasks"]
    assert listed["id"] == task["id"]
    assert "input" not in listed
    assert (await root.get("tasks?status=failure"))["tasks"] == []


async def test_what_is_refused(api: Api) -> None:
    root = api("root")
    for path in ("tasks", "tasks/x"):
        assert (await api.request("GET", path)).status_code == 403
    assert (await api.request("POST", "tasks", json=IMPORT)).status_code == 403
    for body in ({}, {**IMPORT, "type": "export"}, {**IMPORT, "input": {}}):
        assert (await root.request("POST", "tasks", json=body)).status_code == 400
    inside = {**IMPORT["input"], "import_from": "http://127.0.0.1/x"}  # type: ignore[dict-item]
    assert (await root.request("POST", "tasks", json={**IMPORT, "input": inside})).status_code == 400
    assert (await root.request("GET", "tasks/x")).status_code == 404
    assert (await root.request("DELETE", "tasks/x")).status_code == 405
    for query in ("status=odd", "type=odd", "sort_key=odd", "marker=odd"):
        assert (await root.request("GET", f"tasks?{query}")).status_code == 400


async def test_ended_tasks_are_forgotten_in_time(api: Api) -> None:
    image = await api.imported((await api.staged())["id"])
    assert await sweep(api.house) == 0
    await api.house.store.update(
        model.TASKS, {"image_id": image["id"]}, expires_at=now() - timedelta(seconds=1)
    )
    assert await sweep(api.house) == 1
    assert (await api.get(f"images/{image['id']}/tasks"))["tasks"] == []
