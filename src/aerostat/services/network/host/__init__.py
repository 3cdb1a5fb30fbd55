"""What runs next to the switch: the contract, and sockets handed to the control process."""
