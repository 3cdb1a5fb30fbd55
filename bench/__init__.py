"""What one operation costs: processor time of all processes of a cloud, not wall time.

`bench/run --fake` starts a cloud of its own and prints a table; `docs/howto/measure.md` tells how to read it.
"""
