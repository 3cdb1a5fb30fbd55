"""All daemons of a process: one process cares for a device, and a daemon that fails is tried again."""

from structlog.testing import capture_logs

from aerostat.services.object.daemons.progress import reports
from aerostat.services.object.daemons.rounds import Rounds
from aerostat.services.object.daemons.settings import DaemonConfig

from .daemons_kit import WEEK_S, world
from .faults import facts
from .nodes import until


async def test_one_of_several_processes_cares_for_a_device(tmp_path):
    async with world(tmp_path, 2) as made:
        await made.cluster.objects(0).put("a", "c", "o", b"x", facts(b"x", made.at()))
        quick = DaemonConfig(audit_files_per_s=0, parts_per_s=0)
        one = Rounds(lambda: made.cluster, made.local, quick, reclaim_age_s=WEEK_S)
        other = Rounds(lambda: made.cluster, made.local, quick, reclaim_age_s=WEEK_S)
        one.start()
        await until(lambda: len(one._here) == 2)
        other.start()
        await until(other._has_looked.is_set)
        assert len(one._here) == 2
        assert len(other._here) == 0
        some = {"replicator", "auditor", "sums"}
        await until(lambda: {report.daemon for report in reports(tmp_path / "d0")} >= some)
        await one.stop()
        one.leave()
        other._look_after_locks(made.local)
        assert len(other._here) == 2
        await other.stop()
        other.leave()
        assert list(tmp_path.glob("*/recon/present/*")) == []


async def test_a_disk_that_is_not_mounted_is_left_alone_until_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr("aerostat.services.object.daemons.rounds.LOCK_S", 0.01)
    async with world(tmp_path, 1) as made:
        await made.cluster.objects(0).put("a", "c", "o", b"x", facts(b"x", made.at()))
        root, disk = tmp_path / "d0", tmp_path / "disk"
        root.rename(disk)
        root.mkdir()
        rounds = Rounds(lambda: made.cluster, made.local, DaemonConfig(), reclaim_age_s=WEEK_S)
        rounds.start()
        await until(rounds._has_looked.is_set)
        assert list(root.iterdir()) == []
        root.rmdir()
        disk.rename(root)
        await until(lambda: len(rounds._here) == 1)
        assert len(list(root.glob("recon/present/*"))) == 1
        await rounds.stop()
        rounds.leave()


async def test_a_daemon_that_fails_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr("aerostat.services.object.daemons.rounds.FIRST_BACK_OFF_S", 0.01)
    async with world(tmp_path, 1) as made:
        rounds = Rounds(lambda: made.cluster, made.local, DaemonConfig(), reclaim_age_s=WEEK_S)
        tries = []

        async def fail():
            tries.append(None)
            if len(tries) < 4:
                raise RuntimeError("once more")
            return True

        rounds.daemons["replicator"].pass_once = fail
        with capture_logs() as lines:
            rounds.start()
            await until(lambda: len(tries) >= 4)
        await rounds.stop()
        rounds.leave()
        assert [line["again_in_s"] for line in lines if line["event"] == "daemon_failed"] == [
            0.01,
            0.02,
            0.04,
        ]
