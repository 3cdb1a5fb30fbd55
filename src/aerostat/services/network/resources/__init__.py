"""One file for each resource of the network API."""
