"""What a cluster cannot do at the moment, though the question was right."""


class NoQuorum(Exception):
    """Too few devices answered: what there is cannot be told, or what was written may be lost. Try again later."""

    def __init__(self, what: str, answered: int, wanted: int) -> None:
        super().__init__(f"{what}: {answered} devices answered, {wanted} are needed")
        self.answered = answered
        self.wanted = wanted


class DeviceFull(Exception):
    """Too many devices have no room left."""
