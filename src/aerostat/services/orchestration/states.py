"""States of stacks and of their resources: an action, and how far it is.

`CREATE_COMPLETE` is stored as one word; the API shows it so, and events carry it.
"""

from aerostat.kernel.work.states import ANY, Machine

CHANGING = ("CREATE", "ADOPT", "UPDATE", "ROLLBACK", "CHECK", "SUSPEND", "RESUME", "RESTORE")
ALL = (*CHANGING, "DELETE")


def progress(action: str) -> str:
    return f"{action}_IN_PROGRESS"


def complete(action: str) -> str:
    return f"{action}_COMPLETE"


def failed(action: str) -> str:
    return f"{action}_FAILED"


def action_of(state: str) -> str:
    """`CREATE` of `CREATE_IN_PROGRESS`."""
    return state.partition("_")[0]


def status_of(state: str) -> str:
    """`IN_PROGRESS` of `CREATE_IN_PROGRESS`."""
    return state.partition("_")[2]


_DELETED = complete("DELETE")
_GOING = {progress("DELETE"), _DELETED}
_ROLLED_BACK = {progress("CREATE"), progress("UPDATE"), progress("ADOPT"), failed("CREATE"), failed("UPDATE")}

STACK = Machine(
    *(
        (word, ANY - _GOING, progress(action))
        for word, action in (
            ("update", "UPDATE"),
            ("check", "CHECK"),
            ("suspend", "SUSPEND"),
            ("resume", "RESUME"),
        )
    ),
    ("delete", ANY - {_DELETED}, progress("DELETE")),
    ("roll_back", _ROLLED_BACK, progress("ROLLBACK")),
    *(("finish", progress(action), complete(action)) for action in ALL),
    *(("fail", progress(action), failed(action)) for action in ALL),
    initial=progress("CREATE"),
)
"""What a stack goes through. Nothing leads away from a stack that is being deleted but its end."""
