"""Images that lie on web servers of others: read, never written."""
