"""The states of an image, of a copy of its bytes, and of a task. https://docs.openstack.org/glance/latest/user/statuses.html"""

from aerostat.kernel.work import Machine

IMAGE = Machine(
    # event        from                         to
    ("upload", {"queued"}, "saving"),
    ("uploaded", {"saving"}, "active"),
    ("give_up", {"saving"}, "queued"),
    ("stage", {"queued"}, "uploading"),
    ("unstage", {"uploading"}, "queued"),
    ("import", {"queued", "uploading"}, "importing"),
    ("imported", {"importing"}, "active"),
    ("import_failed", {"importing"}, "queued"),
    ("locate", {"queued"}, "active"),
    ("deactivate", {"active", "deactivated"}, "deactivated"),
    ("reactivate", {"active", "deactivated"}, "active"),
    initial="queued",
    column="status",
)

COPY = Machine(
    ("keep", {"writing"}, "kept"),
    ("refuse", {"writing"}, "refused"),
    ("remove", {"writing", "kept", "refused"}, "removing"),
    initial="writing",
)

TASK = Machine(
    ("begin", {"pending"}, "processing"),
    ("succeed", {"pending", "processing"}, "success"),
    ("fail", {"pending", "processing"}, "failure"),
    initial="pending",
    column="status",
)
