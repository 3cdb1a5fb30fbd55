"""What a template says about one resource, with all values known, and how it stands in the resource's row."""

from typing import Any

from aerostat.kernel.db import Row

from .types.resource_type import ResourceType

STORED = (
    "type",
    "kind",
    "state",
    "state_reason",
    "physical_id",
    "properties",
    "metadata",
    "data",
    "requires",
    "retained",
    "generation",
    "begun_at",
    "changed_at",
)
"""The columns that a run changes."""


class Wanted:
    """Made by `Run`, from the resource's definition in the blueprint."""

    def __init__(
        self,
        *,
        kind: ResourceType,
        given: dict[str, Any],
        properties: dict[str, Any],
        metadata: dict[str, Any],
        policy: dict[str, Any],
        retained: bool,
        external_id: str | None,
        type: str,
        requires: list[str],
    ) -> None:
        self.kind = kind
        self.given = given
        self.properties = properties
        self.metadata = metadata
        self.policy = policy
        self.retained = retained
        self.external_id = external_id
        self.type = type
        self.requires = requires

    def apply(self, row: Row, generation: int, metadata: dict[str, Any] | None = None) -> None:
        """Put it into the row; nothing is stored yet."""
        row.properties = self.given
        row.metadata = self.metadata if metadata is None else metadata
        row.retained = self.retained or self.external_id is not None
        row.requires = self.requires
        row.type = self.type
        row.generation = generation
        if self.policy:
            row.data["update_policy"] = self.policy
