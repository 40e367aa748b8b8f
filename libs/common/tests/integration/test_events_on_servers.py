"""Outbox, relay, bus, consumer and inbox on the real servers: the same promises, and what several relays add."""

import pytest

from antiphon_common.testing.suites.outbox import OutboxSuite


class TestOutboxOnPostgresAndRabbitMQ(OutboxSuite):
    @pytest.fixture
    def database_url(self, postgres_url: str) -> str:
        return postgres_url

    @pytest.fixture
    def bus_url(self, amqp_url: str) -> str:
        return amqp_url
