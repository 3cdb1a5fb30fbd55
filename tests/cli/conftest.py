"""Commands that are run in this process leave it as it was."""

import gc
import logging
import os

import pytest
import structlog


@pytest.fixture(autouse=True)
def as_before():
    """What a process of its own sets for itself."""
    umask = os.umask(0o022)
    yield
    os.umask(umask)
    gc.enable()
    structlog.reset_defaults()
    logging.getLogger().handlers.clear()
