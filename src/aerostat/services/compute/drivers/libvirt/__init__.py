"""QEMU by libvirt: the real hypervisor.

`hypervisor.LibvirtHypervisor` is the driver and `settings.LibvirtSettings` what it wants to know. Nothing
is imported here, so that the package works where libvirt's binding is not installed.
"""

import os

# libvirt reads this when it is imported. It raises what it would otherwise also write to standard error.
os.environ.setdefault("LIBVIRT_LOG_OUTPUTS", "4:file:/dev/null")
