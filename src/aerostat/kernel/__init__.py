"""The shared floor: what every room stands on. Knows no service by name."""
