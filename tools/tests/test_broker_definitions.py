"""What the broker is given is what the code declares, and accounts get their passwords."""

from base64 import b64decode
from hashlib import sha256

import orjson
import pytest
from broker_accounts import PATH, hashed, load, with_accounts
from broker_definitions import VHOST, consumers, definitions, publishers, text

from antiphon_common.bus.amqp import topology


def test_the_committed_definitions_are_what_the_code_declares() -> None:
    assert PATH.read_text("utf-8") == text(), "run python tools/broker_definitions.py"


def test_every_event_is_consumed_by_somebody() -> None:
    """One that no queue takes would stay in its publisher's outbox."""
    bound = {each["routing_key"] for each in definitions()["bindings"] if each["source"] == topology.EVENTS}
    consumed = {event_type for types in consumers().values() for event_type in types}
    assert bound == consumed
    assert {event_type.partition(".")[0] for event_type in consumed} == set(publishers())


def test_every_queue_is_a_quorum_queue_with_a_limit_of_its_own_and_a_way_out() -> None:
    queues = {each["name"]: each["arguments"] for each in definitions()["queues"]}
    assert {arguments["x-queue-type"] for arguments in queues.values()} == {"quorum"}
    for consumer in consumers():
        assert queues[consumer]["x-delivery-limit"] == 19
        moving = [consumer, *(topology.retry_queue(consumer, seconds) for seconds in (1, 10, 60))]
        for name in moving:
            assert queues[name]["x-dead-letter-strategy"] == "at-least-once"
            assert queues[name]["x-overflow"] == "reject-publish"


def test_nobody_has_a_password_in_the_repository() -> None:
    assert {user["password_hash"] for user in load()["users"]} == {""}


def test_accounts_get_the_passwords_they_are_given_and_an_operator_may_do_everything() -> None:
    passwords = {user["name"]: f"of-{user['name']}" for user in load()["users"]}
    made = with_accounts(load(), passwords, operator=("operator", "of-operator"))
    users = {user["name"]: user for user in made["users"]}
    for name, user in users.items():
        salted = b64decode(user["password_hash"])
        assert salted[4:] == sha256(salted[:4] + f"of-{name}".encode()).digest()
    assert users["operator"]["tags"] == "administrator"
    assert {"user": "operator", "vhost": VHOST, "configure": ".*", "write": ".*", "read": ".*"} in made[
        "permissions"
    ]
    assert made == with_accounts(load(), passwords, operator=("operator", "of-operator"))
    assert {key: value for key, value in made.items() if key not in ("users", "permissions")} == {
        key: value for key, value in load().items() if key not in ("users", "permissions")
    }


def test_a_user_without_a_password_is_named() -> None:
    with pytest.raises(KeyError, match="auth"):
        with_accounts(load(), {})


def test_two_users_with_one_password_have_different_hashes() -> None:
    assert hashed("a", "same") != hashed("b", "same")


def test_the_definitions_are_plain_json() -> None:
    assert orjson.loads(PATH.read_bytes()) == load()
