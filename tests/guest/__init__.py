"""The test guest and the tools in it."""
