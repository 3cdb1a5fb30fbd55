"""Settings of the room: what makes no sense is refused, and all of them stand in one page of the documents."""

from pathlib import Path

import pytest

from aerostat.kernel.config import ConfigError
from aerostat.services.image.config import ImageConfig, StoreSettings, WebSettings
from tests.settings_page import of_code, of_page

from .conftest import opened

PAGE = Path(__file__).parents[2] / "docs/howto/image-settings.md"
SECTIONS = {"image": ImageConfig, "image.stores.NAME": StoreSettings, "image.web": WebSettings}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[image]\ndefault_store = 'two'", "no store that can be written to"),
        ("[image.stores.web]\ntype = 'http'", "no store that can be written to"),
        ("[image.stores.a]\ntype = 'tape'", "Invalid enum value"),
        ("[image.stores.a]\nfolders = '/x'", "unknown field `folders`"),
        ("[image.stores.'a,b']", "cannot be the name of a store"),
        ("[image.stores.os_glance_mine]", "cannot be the name of a store"),
        ("[image.stores.'../a']", "cannot be the name of a store"),
        ("[image.web]\nallow_ports = [1]", "unknown field `allow_ports`"),
        ("[image]\nimport_methods = ['magic']", "Invalid enum value"),
    ],
)
async def test_settings_that_make_no_sense(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        async with opened(tmp_path, text):
            pass


def test_all_settings_stand_in_the_page_with_their_defaults() -> None:
    assert sorted(of_page(PAGE)) == sorted(of_code(SECTIONS.items()))
