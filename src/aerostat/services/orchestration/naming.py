"""Names of what is made outside, chosen before it is made."""

from aerostat.kernel import ids


def physical_name(stack_name: str, resource_name: str, limit: int) -> str:
    """`<stack>-<resource>-<12 random>`, shortened in the middle to `limit` characters."""
    tail = ids.short_id(12)
    room = limit - len(tail) - 1
    head = f"{stack_name}-{resource_name}"
    if len(head) > room:
        # The stack's name is cut first, as upstream does: what is left still says which resource it is.
        kept = max(2, room - len(resource_name) - 1)
        head = f"{stack_name[:kept]}-{resource_name}"[:room].rstrip("-")
    return f"{head}-{tail}"
