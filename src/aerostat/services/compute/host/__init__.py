"""What runs next to the hardware: the hypervisor's contract and the agent that speaks it."""
