"""A whole cloud for a test: in memory, on a free port, in less than a second, gone afterwards.

    with Cloud() as cloud:
        server = cloud.connection.compute.create_server(…)

or the pytest fixture `aerostat_cloud`. Every cloud is alone: own port, own database, own users. `cloud.faults` makes
things go wrong on purpose. See `docs/howto/test-your-client.md`.
"""

from .cloud import Cloud

__all__ = ["Cloud"]
