"""`explain`: a timeline that a person can read, with the data behind a refusal."""

from aerostat.cli.explain import timeline

OPERATIONS = [
    {
        "request_id": "req-1",
        "at": "2030-01-01T10:00:00.123456",
        "actor": "u1",
        "action": "server.create",
        "step": None,
        "verdict": "accepted",
        "subject_name": "vm",
        "took_ms": 3.4,
    },
    {
        "request_id": "req-1",
        "at": "2030-01-01T10:00:01.000000",
        "actor": "u1",
        "action": "server.create",
        "step": "claim_host",
        "verdict": "failed",
        "subject_kind": "compute_servers",
        "subject_id": "27b62bad",
        "reason": "no valid host: 1 of 1 hosts lacks RAM",
        "data": {"hosts": [{"name": "h1", "filter": "ram", "short_mib": 384}], "asked": 512},
    },
    {
        "request_id": "req-2",
        "at": "2030-01-01T11:00:00.000000",
        "actor": None,
        "action": "sweep",
        "verdict": "done",
        "data": {"hidden": 1},
    },
]


def test_one_block_a_request_and_reasons_below_their_line():
    lines = list(timeline(OPERATIONS))
    assert lines[0] == "req-1   2030-01-01   by u1"
    assert lines[1].split() == ["+", "10:00:00.123", "server.create", "accepted", "3", "ms", "vm"]
    assert lines[2].split() == ["!", "10:00:01.000", "server.create", "/", "claim_host", "failed", "27b62bad"]
    assert [line.strip() for line in lines[3:9]] == [
        "no valid host: 1 of 1 hosts lacks RAM",
        "hosts:",
        "- name: h1",
        "filter: ram",
        "short_mib: 384",
        "asked: 512",
    ]
    assert lines[9:11] == ["", "req-2   2030-01-01"]
    assert "hidden" not in "\n".join(lines), "data of what went well is left to -o json"
