"""What takes time in the image room."""

from .import_image import import_image
from .import_location import import_location

FLOWS = (import_image, import_location)
