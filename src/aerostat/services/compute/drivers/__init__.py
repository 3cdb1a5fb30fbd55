"""Hypervisor drivers: the real one (libvirt) and a world in memory (fake)."""
