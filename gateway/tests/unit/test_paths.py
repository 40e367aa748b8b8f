"""One spelling for a path: everything else is refused, however it is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon_gateway.matching import compile_table
from antiphon_gateway.paths import canonical_path, check_target, known_query
from antiphon_gateway.problems import Refused
from antiphon_gateway.routes import ROUTES
from antiphon_gateway.settings import SERVICES

ENCODINGS = [
    "/..", "/.", "/../", "/./", "//", "///", "/%2e%2e", "/%2E%2E", "/.%2e", "/%2e.", "/%2e", "/..%2f",
    "/..%2F",
    "/%2e%2e%2f", "/%2e%2e/", "/%2f", "/%2F", "/%5c", "/%5C", "/\\", "/..\\", "/..%5c", "/%252e%252e",
    "/%252f",
    "/%25252e", "/%255c", "/;", "/;x=1", "/..;", "/..;/", "/;/..", "/.;/", "/%3b", "/%00", "/\x00",
    "/%00.json",
    "/a%00", "/%0a", "/%0d%0a", "/\n", "/\r", "/\t", "/%09", "/%20", "/ ", "/+ ", "/%c0%ae%c0%ae", "/%c0%af",
    "/%e0%80%ae", "/%uff0e", "/\xc0\xae", "/\xff", "/%", "/%g1", "/%2", "/*", "/|", "/\"", "/<x>", "/?",
    "/#", "/a:b",
    "/@evil", "/%40", "/{id}", "/~/../x", "/a/..", "/a/.",
]  # fmt: skip


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("place", ["/api/tracks{}/internal", "/api{}", "{}/api/me"])
def test_a_path_with_two_readings_is_refused(place: str, encoding: str) -> None:
    with pytest.raises(Refused) as refused:
        canonical_path(place.format(encoding).encode("latin-1"))
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "path", ["/", "/api/tracks", "/api/auth/jwks.json", "/a-b_c~d.e", "/...", "/..a", "/a../b"]
)
def test_a_canonical_path_is_taken_as_it_is(path: str) -> None:
    assert canonical_path(path.encode()) == path


@pytest.mark.parametrize("path", ["", "api/tracks", "/api/", "*", "http://evil/api"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(Refused):
        canonical_path(path.encode())


@given(st.binary(max_size=60))
def test_what_is_accepted_means_itself_to_every_reader(raw: bytes) -> None:
    import posixpath
    from urllib.parse import unquote_to_bytes

    try:
        path = canonical_path(raw)
    except Refused:
        return
    assert unquote_to_bytes(path) == raw
    assert posixpath.normpath(path) == path


@given(
    st.lists(
        st.sampled_from(["api", "tracks", "me", "..", "%2e", "popular", "x;y", "internal", ""]), max_size=6
    )
)
def test_a_path_that_is_routed_is_sent_on_as_it_came(segments: list[str]) -> None:
    table = compile_table(ROUTES, services=SERVICES)
    raw = "/" + "/".join(segments)
    try:
        found = table.find(canonical_path(raw.encode()))
    except Refused:
        return
    for target in found.targets.values():
        assert target.path(found.ids) == raw or target.route.upstream


def test_a_target_over_8_kb_is_too_long() -> None:
    with pytest.raises(Refused) as refused:
        check_target(b"/api/tracks", b"q=" + b"x" * 8192)
    assert refused.value.status == 414


@pytest.mark.parametrize("query", [b"a=\x00", b"a=\xff", b"a=#", b"a= b", b'a="'])
def test_a_query_with_a_byte_of_no_uri_is_refused(query: bytes) -> None:
    with pytest.raises(Refused):
        check_target(b"/api/tracks", query)


def test_the_order_of_parameters_makes_no_difference() -> None:
    assert known_query(b"b=2&a=1&c=", "abc") == known_query(b"c=&b=2&a=1", "abc") == "a=1&b=2&c="


def test_of_a_query_only_what_is_known_counts_and_of_that_the_last() -> None:
    assert known_query(b"x=1&a=2&_=9&a=3&A=4&a%20=5", "ab") == "a=3"
    assert known_query(b"x=1", "ab") == known_query(b"", "ab") == ""
    assert known_query(b"a=2&a=", "ab") == "a="
    with pytest.raises(Refused):
        known_query(b"x=%ff", "ab")


def test_two_spellings_of_one_value_are_one() -> None:
    assert known_query(b"q=%61%c3%a9", "qb") == known_query(b"q=a%C3%A9", "qb")
    assert known_query(b"q=a%26b=1", "qb") != known_query(b"q=a&b=1", "qb")
