"""Who is on the other end: the peer, unless a proxy of ours says otherwise."""

import pytest

from antiphon_gateway.addresses import Addresses, bucket_of, is_local
from antiphon_gateway.headers import Fields


def client(header: str | None, *, proxies: int, peer: str = "127.0.0.1") -> str:
    addresses = Addresses(trusted_proxies=proxies, proxy_networks=("127.0.0.0/8", "10.0.0.0/8"))
    return addresses.client(peer, {} if header is None else {b"x-forwarded-for": header.encode()})


def test_without_proxies_nobody_is_believed() -> None:
    assert client("9.9.9.9", proxies=0) == "127.0.0.1"


def test_a_stranger_is_not_believed() -> None:
    assert client("9.9.9.9", proxies=1, peer="203.0.113.5") == "203.0.113.5"


@pytest.mark.parametrize(
    ("header", "proxies", "expected"),
    [
        ("9.9.9.9", 1, "9.9.9.9"), ("1.1.1.1, 9.9.9.9", 1, "9.9.9.9"), ("1.1.1.1, 9.9.9.9, 10.0.0.2",
        2, "9.9.9.9"),
        ("6.6.6.6,5.5.5.5,9.9.9.9 ,10.0.0.2", 2, "9.9.9.9"), ("[2001:db8::1]:443", 1, "2001:db8::1"),
        ("2001:DB8:0::1", 1, "2001:db8::1"),
    ],
)  # fmt: skip
def test_the_client_is_counted_from_the_right(header: str, proxies: int, expected: str) -> None:
    assert client(header, proxies=proxies) == expected


@pytest.mark.parametrize(
    "header", [None, "", "unknown", "999.1.1.1", "9.9.9.9:443", "a, b", "<script>", "127.1"]
)
def test_nonsense_of_a_proxy_leaves_its_own_address(header: str | None) -> None:
    assert client(header, proxies=1) == "127.0.0.1"


def test_too_few_hops_leave_the_proxy_s_address() -> None:
    assert client("9.9.9.9", proxies=2) == "127.0.0.1"


SECRET = "s" * 32


@pytest.mark.parametrize(
    ("said", "peer", "expected"),
    [
        (SECRET, "127.0.0.1", "9.9.9.9"), (SECRET, "10.1.2.3", "9.9.9.9"), (None, "127.0.0.1", "127.0.0.1"),
        ("", "127.0.0.1", "127.0.0.1"), (SECRET[1:], "127.0.0.1", "127.0.0.1"),
        (f"{SECRET}, {SECRET}", "127.0.0.1", "127.0.0.1"), (SECRET, "203.0.113.5", "203.0.113.5"),
    ],
)  # fmt: skip
def test_where_the_edge_has_a_secret_only_who_sends_it_is_believed(
    said: str | None, peer: str, expected: str
) -> None:
    addresses = Addresses(trusted_proxies=1, proxy_networks=("127.0.0.0/8", "10.0.0.0/8"), secret=SECRET)
    fields = {b"x-forwarded-for": b"9.9.9.9"}
    if said is not None:
        fields[b"x-antiphon-edge"] = said.encode()
    assert addresses.client(peer, fields) == expected


@pytest.mark.parametrize(
    ("peer", "fields", "expected"),
    [
        ("127.0.0.1", {}, True), ("::1", {b"host": b"x"}, True), ("10.0.0.1", {}, False), ("", {}, False),
        ("127.0.0.1", {b"x-forwarded-for": b"127.0.0.1"}, False), ("127.0.0.1", {b"x-forwarded-for": b""}, False),
    ],
)  # fmt: skip
def test_local_is_who_asks_on_this_machine_himself(peer: str, fields: Fields, expected: bool) -> None:
    assert is_local(peer, fields) is expected


def test_a_64_is_one_household() -> None:
    shared = {bucket_of(f"2001:db8:1:2::{number:x}") for number in range(300)}
    assert shared == {"2001:db8:1:2::/64"}
    assert bucket_of("2001:db8:1:3::1") != bucket_of("2001:db8:1:2::1")
    assert bucket_of("::ffff:9.9.9.9") == bucket_of("9.9.9.9") == "9.9.9.9"
    assert bucket_of("no address") == "unknown"
