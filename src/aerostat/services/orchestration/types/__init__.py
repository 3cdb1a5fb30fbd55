"""Resource types: what can stand in a template. One file per type, `<namespace>/<name>.py`."""
