"""One file for each kind of drift between the rows and the network."""

from . import port_status, topology

RECONCILERS = (topology.RECONCILER, port_status.RECONCILER)
