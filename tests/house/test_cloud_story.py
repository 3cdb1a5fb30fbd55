"""A test's cloud as a thing: started again on its folder, many at once, nothing left at the end."""

from concurrent.futures import ThreadPoolExecutor

from aerostat.testing import Cloud
from tests.house.conftest import WAIT_S, wait
from tests.house.world import assert_nothing_is_left


def test_a_second_start_finds_everything(tmp_path, new_server):
    with Cloud(state=tmp_path / "s") as cloud:
        demo = cloud.connect("demo")
        runs = wait(demo, new_server(demo, "runs", remove_after=False))
        stands = wait(demo, new_server(demo, "stands", remove_after=False))
        demo.compute.stop_server(stands)
        wait(demo, stands, "SHUTOFF")
        demo.compute.create_keypair(name="kept")
        demo.image.create_image(
            name="kept", data=b"bytes", disk_format="raw", container_format="bare", visibility="private"
        )
        demo.network.create_network(name="kept")
        password = cloud.auth["password"]

    with Cloud(state=tmp_path / "s") as cloud:
        assert cloud.auth["password"] == password
        demo = cloud.connect("demo")
        shown = {one.id: (one.name, one.status) for one in demo.compute.servers()}
        assert shown == {runs.id: ("runs", "ACTIVE"), stands.id: ("stands", "SHUTOFF")}
        assert demo.compute.find_keypair("kept") is not None
        assert demo.image.download_image(demo.image.find_image("kept")).content == b"bytes"
        assert [network.name for network in demo.network.networks()].count("private") == 1
        assert demo.network.find_network("kept") is not None
        host = cloud.house.state["compute"].fake_world.hosts["fake-1"]
        guests = {one.id: one.state for one in cloud.call(host.list_domains())}
        assert guests == {runs.id: "running", stands.id: "shutoff"}, "though this world began empty"
        cloud.call(cloud.house.engine.run_one("compute.power"))
        assert demo.compute.get_server(runs.id).status == "ACTIVE"
        for server in (runs, stands):
            demo.compute.delete_server(server.id)
            demo.compute.wait_for_delete(server, interval=0.02, wait=WAIT_S)
        assert_nothing_is_left(cloud)


def test_many_clouds_stand_side_by_side():
    def live(number: int) -> tuple[str, list[str]]:
        with Cloud() as cloud:
            network = cloud.connection.network
            network.create_network(name=f"only-{number}")
            return cloud.url, [one.name for one in network.networks() if one.name.startswith("only-")]

    with ThreadPoolExecutor(5) as pool:
        lives = list(pool.map(live, range(5)))
    assert [names for _, names in lives] == [[f"only-{number}"] for number in range(5)]
    assert len({url for url, _ in lives}) == 5


def test_twenty_servers_come_and_go(aerostat_cloud, new_server):
    cloud = aerostat_cloud
    demo = cloud.connect("demo")
    cloud.connection.compute.update_quota_set(demo.current_project_id, instances=-1, ram=-1, cores=-1)
    servers = [new_server(demo, f"s{number}", remove_after=False) for number in range(20)]
    for server in servers:
        wait(demo, server)
    assert len({address_of(one) for one in demo.compute.servers()}) == 20
    for server in servers:
        demo.compute.delete_server(server)
    for server in servers:
        demo.compute.wait_for_delete(server, interval=0.02, wait=WAIT_S)
    assert_nothing_is_left(cloud)


def address_of(server):
    return server.addresses["private"][0]["addr"]
