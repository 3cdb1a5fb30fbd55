"""The states of an image. https://docs.openstack.org/glance/latest/user/statuses.html"""

from aerostat.kernel.work import Machine

IMAGE = Machine(
    # event        from                         to
    ("upload", {"queued"}, "saving"),
    ("uploaded", {"saving"}, "active"),
    ("give_up", {"saving"}, "queued"),
    ("deactivate", {"active", "deactivated"}, "deactivated"),
    ("reactivate", {"active", "deactivated"}, "active"),
    initial="queued",
    column="status",
)
