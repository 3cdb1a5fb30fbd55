"""The object store; see README.md."""
