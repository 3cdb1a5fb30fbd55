"""`python -m aerostat` is the same command line as `aerostat`."""

import sys

from aerostat.cli import main

sys.exit(main())
