"""Features on the path of a request, one file each; their order is in `pipeline.py`."""
