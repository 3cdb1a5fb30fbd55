"""Rings, devices and policies as one: quorums, handoffs, the newest copy, erasure code.

The settings, which every process reads, want `policies` alone: nothing else is loaded with it.
"""
