"""One file for each kind of drift between the rows and the network."""
