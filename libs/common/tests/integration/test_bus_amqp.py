"""The bus on RabbitMQ: the contract of every bus, and what its docstring promises when the broker fails."""

import pytest

from antiphon_common.testing.suites.bus import BusSuite


@pytest.fixture
def bus_url(amqp_url: str) -> str:
    return amqp_url


class TestAmqpBus(BusSuite):
    pass
