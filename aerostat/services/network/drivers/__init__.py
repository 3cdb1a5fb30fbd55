"""Back-ends of the network room: `fake` (memory) and `ovn` (Open Virtual Network over Open vSwitch)."""
