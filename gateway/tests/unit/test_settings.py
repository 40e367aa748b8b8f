"""What the gateway refuses to start with."""

import pytest
from pydantic import ValidationError

from antiphon_gateway.app import create_app
from antiphon_gateway.settings import SERVICES, Settings

URLS = {f"{name}_url": "http://127.0.0.1:1" for name in SERVICES}
GOOD = {"bus_url": "inproc:", **URLS}


def test_good_settings_make_a_gateway() -> None:
    assert create_app(Settings(**GOOD)).guard


@pytest.mark.parametrize(
    "wrong",
    [
        {"auth_url": "https://x"}, {"user_url": "127.0.0.1"}, {"cors_origins": ("*",)},
        {"cors_origins": ("https://x/",)}, {"proxy_networks": ("x",)}, {"trusted_proxies": -1},
        {"port": 70000}, {"edge_secret": ""}, {"edge_secret": "x" * 31}, {"edge_secret": "x" * 32 + "\n"},
        {"edge_secret": "x " * 32},
    ],
)  # fmt: skip
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings(**{**GOOD, **wrong})


def test_the_secret_of_the_edge_is_in_no_text_about_the_settings() -> None:
    assert "planted" not in repr(Settings(**GOOD, edge_secret="planted" * 8))


@pytest.mark.parametrize("missing", GOOD)
def test_no_address_has_a_default(missing: str) -> None:
    with pytest.raises(ValidationError):
        Settings(**{name: value for name, value in GOOD.items() if name != missing})


def test_a_rate_that_makes_no_sense_stops_the_start() -> None:
    with pytest.raises(ValueError):
        create_app(Settings(**GOOD, rates={"auth": "lots"}))
