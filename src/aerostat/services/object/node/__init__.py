"""A storage node: its devices behind HTTP (`server`), and the devices of other nodes (`remote`)."""
