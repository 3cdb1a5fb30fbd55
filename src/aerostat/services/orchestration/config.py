"""Orchestration's settings."""

import msgspec


class OrchestrationConfig(msgspec.Struct, frozen=True, kw_only=True):
    action_timeout_s: float = 3600.0
    """How long an action on a stack may take that names no limit of its own."""
    most_resources: int = 1000
    """Resources in one stack and all stacks nested in it; more are refused. -1: no limit."""
    most_nested: int = 5
    """How deep stacks may be nested."""
    most_stacks: int = 512
    """Stacks of a project. -1: no limit."""
    most_body_bytes: int = 8 << 20
    """The largest body of a request: a template with all its files."""
    most_signal_bytes: int = 1 << 20
    """The largest signal."""
    most_signals_bytes: int = 4 << 20
    """All signals together that a handle keeps; each counts at least 1024."""
    most_value_chars: int = 64 << 20
    """Characters of all properties of a stack together, with everything in them worked out."""
    most_events: int = 1000
    """Events kept of one stack; the oldest go first."""
    keep_deleted_s: float = 86_400.0
    """How long a deleted stack can still be shown by its id."""
