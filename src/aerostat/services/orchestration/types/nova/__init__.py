"""Resource types made by the compute room."""
