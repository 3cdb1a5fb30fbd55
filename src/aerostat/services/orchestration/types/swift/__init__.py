"""Resource types made by the object room."""
