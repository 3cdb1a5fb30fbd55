"""The rooms: one package per service, all with the same floor plan."""
