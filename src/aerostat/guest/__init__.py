"""The test guest: a 20 MB Linux that boots in seconds and behaves as cloud images do.

Built from Debian packages that are downloaded and unpacked; nothing is installed, nothing mounted, no
network of ours is needed but the packages' mirror, and from a filled cache not even that. In the manner of
CirrOS the guest

* boots from disk by BIOS, on virtio-blk or virtio-scsi;
* runs DHCP on every network card, also on those plugged in later;
* reads a config drive or the metadata service (OpenStack's layout, else EC2's);
* takes host name, SSH keys and password from there and runs user data: a script, or the scripts in a MIME
  archive, once for each instance;
* has ssh, a login on the serial line and the screen, a power button that works, QEMU's guest agent, and
  enough of `curl` to call a wait condition;
* never waits long for a metadata service that is not there, and takes its answer when it comes later.

It is for tests: its password is public.
"""

from .build import PASSWORD, USER, build_test_image, cached_test_image
from .tools import GuestBuildError

__all__ = ["PASSWORD", "USER", "GuestBuildError", "build_test_image", "cached_test_image"]
