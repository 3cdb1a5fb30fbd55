"""Orchestration: stacks made from templates."""
