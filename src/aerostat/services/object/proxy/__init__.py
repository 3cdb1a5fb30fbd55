"""Accounts, containers and objects as the API has them: the innermost part of the pipeline."""
