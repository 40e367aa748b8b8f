"""The bus on RabbitMQ, on the machine's own and on 4: the contract of every bus."""

import pytest

from antiphon_common.testing.suites.bus import BusSuite


class TestAmqpBus(BusSuite):
    @pytest.fixture
    def bus_url(self, amqp_url: str) -> str:
        return amqp_url


class TestAmqpBusOnRabbitMQ4(BusSuite):
    @pytest.fixture
    def bus_url(self, amqp4_url: str) -> str:
        return amqp4_url
