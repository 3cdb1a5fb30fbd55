"""Images: what servers boot from."""
