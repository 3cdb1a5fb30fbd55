"""`host remove NAME`: out of the scheduler's sight, the records and the queue.

Refused while servers are there. `--force` is for a machine that will not come back, so not for one that is heard: its
servers are in ERROR afterwards, with the reason, and can be deleted or rebuilt elsewhere.
"""

import argparse

from aerostat.cli import CommandError
from aerostat.cli.api import Api
from aerostat.cli.host.drain import find_service
from aerostat.cli.host.emptying import servers_on
from aerostat.cli.host.token import checked_name, open_broker, rights_of, user_of
from aerostat.cli.settings import settings_of
from aerostat.kernel.bus.broker import BrokerError
from aerostat.kernel.config import Config


def run(args: argparse.Namespace) -> int:
    config = settings_of(args)
    name = checked_name(args.name)
    if not config.kernel.has_queue:
        raise CommandError(
            "the hosts of this cloud are made by `aerostat up`, and would come back; see --hosts there"
        )
    with Api.as_user(config) as api:
        service = find_service(api, name)
        servers = servers_on(api, name)
        if servers and not args.force:
            raise CommandError(
                f"{len(servers)} servers are on {name} ({', '.join(one['name'] for one in servers[:3])} …): delete them"
                f" or move them away (aerostat host drain {name} --move), or --force if the machine is lost"
            )
        if servers and service["state"] == "up":
            raise CommandError(
                f"{name} is not lost: it is heard, and its {len(servers)} servers may well run. Move them away"
                f" (aerostat host drain {name} --move), or end its process and come back in a minute"
            )
        headers = {"X-Aerostat-Force": "true"} if args.force else {}
        if config.kernel.bus_admin_url:
            _take_from_queue(
                config, name
            )  # first: a host that can still speak would come back with its next report
        api.delete("compute", f"/os-services/{service['id']}", headers=headers, version="2.53")
    print(f"{name} is out of the cloud." + (f" {len(servers)} servers lost their host." if servers else ""))
    if not config.kernel.bus_admin_url and config.kernel.has_queue:
        print(f"Take its user from the queue as well: rabbitmqctl delete_user {user_of(name)}")
    return 0


def _take_from_queue(config: Config, name: str) -> None:
    try:
        with open_broker(config) as broker:
            broker.remove_user(user_of(name), serves=rights_of(name)["serves"])
    except BrokerError as error:
        raise CommandError(str(error)) from None
