"""The orchestration API, one file per resource."""
