"""Resource types made by the identity room."""
