"""Resource types made by the network room."""
