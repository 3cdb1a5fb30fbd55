"""The functions a template may call, by what they work on. Which version has which is in `versions.py`."""
