"""What the compute API is made of, one file per resource."""

from ..versions import VersionDocuments
from .console import ConsolePages, RemoteConsole
from .flavor import Flavor
from .keypair import Keypair
from .server import Server

RESOURCES = (VersionDocuments, Flavor, Keypair, Server, RemoteConsole, ConsolePages)
