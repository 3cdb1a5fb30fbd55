"""Long operations of the compute room, one file each."""
