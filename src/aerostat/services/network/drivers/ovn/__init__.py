"""Open Virtual Network over Open vSwitch.

`compile.py` says what a thing is in OVN's northbound tables, `rows.py` compares and writes rows,
`northbound.py` joins both as the topology driver. `host.py` is one machine's side; `daemons.py` the
processes they need.
"""
