"""Resource types made by the image room."""
