"""Network: networks, subnets, ports, routers, security groups, floating IPs."""
