"""Header hygiene: what is refused, what goes on, what comes back."""

import pytest

from antiphon_gateway.headers import (
    MAX_BYTES,
    answered_headers,
    check_framing,
    has_body,
    read_fields,
    upstream_headers,
)
from antiphon_gateway.problems import Refused


def status_of(*headers: tuple[bytes, bytes]) -> int:
    try:
        read_fields(headers)
    except Refused as refused:
        return refused.status
    return 200


@pytest.mark.parametrize("name", [b"x_user_id", b"x-user_id", b"_", b"content_length", b"authorization_"])
def test_a_name_with_an_underscore_is_refused(name: bytes) -> None:
    assert status_of((name, b"1")) == 400


@pytest.mark.parametrize(
    "name",
    [b"host", b"content-length", b"content-type", b"authorization", b"cookie", b"range", b"x-user-id",
    b"origin",
     b"transfer-encoding", b"idempotency-key", b"if-range", b"traceparent", b"expect"],
)  # fmt: skip
def test_a_singleton_that_comes_twice_is_refused(name: bytes) -> None:
    value = b"chunked" if name == b"transfer-encoding" else b"1"
    assert status_of((name, value)) == 200
    assert status_of((name, value), (name, value)) == 400


def test_a_list_may_come_in_parts() -> None:
    assert read_fields([(b"if-none-match", b'"a"'), (b"if-none-match", b'"b"')]) == {
        b"if-none-match": b'"a", "b"'
    }


def test_the_budget_is_64_fields_and_16_kilobytes() -> None:
    assert status_of(*((b"x-%d" % number, b"") for number in range(64))) == 200
    assert status_of(*((b"x-%d" % number, b"") for number in range(65))) == 431
    assert status_of((b"x", b"a" * (MAX_BYTES - 5))) == 200
    assert status_of((b"x", b"a" * (MAX_BYTES - 4))) == 431


def test_a_compressed_request_is_refused() -> None:
    assert status_of((b"content-encoding", b"gzip")) == 415


@pytest.mark.parametrize("coding", [b"xchunked", b"gzip, chunked", b"identity", b"chunked, chunked", b""])
def test_no_framing_but_chunked_is_taken(coding: bytes) -> None:
    with pytest.raises(Refused):
        check_framing({b"transfer-encoding": coding}, http_version="1.1")


def test_chunks_belong_to_http_1_1() -> None:
    check_framing({b"transfer-encoding": b"Chunked"}, http_version="1.1")
    with pytest.raises(Refused):
        check_framing({b"transfer-encoding": b"chunked"}, http_version="1.0")


IDENTITY = [
    "x-antiphon-client", "x-user-id", "x-userid", "x-user", "x-roles", "x-role", "x-internal-identity",
    "x-internal-token",
    "x-admin",
    "x-request-verified", "x-authenticated-user", "x-auth-user", "x-remote-user", "remote-user",
    "x-forwarded-user",
    "x-forwarded-email", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "forwarded", "x-real-ip",
    "x-client-ip", "true-client-ip", "cf-connecting-ip", "x-original-url", "x-rewrite-url",
    "x-http-method-override",
    "x-method-override", "x-http-method", "x-original-host", "x-host", "via", "x-principal", "x-session-id",
    "x-sid",
    "x-api-key", "x-token", "x-jwt", "x-scopes", "x-tenant", "cookie", "proxy-authorization", "connection",
    "te",
    "upgrade", "trailer", "keep-alive", "proxy-connection", "traceparent", "host", "content-length", "expect",
]  # fmt: skip


@pytest.mark.parametrize("name", IDENTITY)
def test_no_identity_or_hop_header_of_a_client_reaches_a_service(name: str) -> None:
    fields = read_fields([(name.encode(), b"chunked"), (b"accept", b"a")])
    assert upstream_headers(fields, cookies=False) == [("accept", "a")]


def test_a_cookie_goes_on_only_where_the_route_wants_it() -> None:
    fields = read_fields([(b"cookie", b"a=1"), (b"origin", b"http://x")])
    assert upstream_headers(fields, cookies=True) == [("cookie", "a=1"), ("origin", "http://x")]


def test_a_connection_header_cannot_take_the_authorization_away() -> None:
    fields = read_fields([(b"connection", b"close, Authorization"), (b"authorization", b"Bearer x")])
    assert ("authorization", "Bearer x") in upstream_headers(fields, cookies=False)


def test_a_value_that_is_not_ascii_is_refused_where_it_would_go_on() -> None:
    with pytest.raises(Refused):
        upstream_headers(read_fields([(b"user-agent", b"\xff")]), cookies=False)
    assert upstream_headers(read_fields([(b"x-other", b"\xff")]), cookies=False) == []


def test_an_answer_keeps_only_known_headers() -> None:
    headers = [
        (b"Content-Type", b"a/b"), (b"Server", b"uvicorn"), (b"Date", b"now"), (b"X-Powered-By", b"x"),
        (b"Set-Cookie", b"a=1"), (b"Connection", b"close, ETag"), (b"ETag", b"1"), (b"Transfer-Encoding",
        b"chunked"),
        (b"Keep-Alive", b"1"),
    ]  # fmt: skip
    assert answered_headers(headers, cookies=False) == [(b"content-type", b"a/b")]
    assert (b"set-cookie", b"a=1") in answered_headers(headers, cookies=True)


def test_a_body_is_announced_by_its_length_or_its_framing() -> None:
    assert has_body({b"content-length": b"1"})
    assert has_body({b"transfer-encoding": b"chunked"})
    assert not has_body({b"content-length": b"0"})
    assert not has_body({})
