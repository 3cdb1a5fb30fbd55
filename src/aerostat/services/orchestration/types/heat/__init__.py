"""Resource types of the orchestration room itself."""
