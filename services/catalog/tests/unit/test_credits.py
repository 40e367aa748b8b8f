"""The table of artist texts: what is split, what stays whole, and what is printed again."""

import pytest

from antiphon_catalog.domain.credits import NamedCredit, default_joins, is_various, parse_credits, printed
from antiphon_catalog.domain.folding import fold

# The tag's values, the title, the printed credit (guests after "+"), the title that is left.
CASES: list[tuple[tuple[str, ...], str, list[str], str, str]] = [
    # One value without guests stays whole, whatever is in it.
    (("Ada",), "Song", ["Ada"], "Ada", "Song"),
    (("Simon & Garfunkel",), "Song", ["Simon & Garfunkel"], "Simon & Garfunkel", "Song"),
    (("AC/DC",), "Song", ["AC/DC"], "AC/DC", "Song"),
    (("Earth, Wind & Fire",), "Song", ["Earth, Wind & Fire"], "Earth, Wind & Fire", "Song"),
    (("Tyler, The Creator",), "Song", ["Tyler, The Creator"], "Tyler, The Creator", "Song"),
    (("Nick Cave and the Bad Seeds",), "Song", ["Nick Cave and the Bad Seeds"], "Nick Cave and the Bad Seeds", "Song"),
    (("+/-",), "Song", ["+/-"], "+/-", "Song"),
    (("R.E.M.",), "Song", ["R.E.M."], "R.E.M.", "Song"),
    (("Daft Punk",), "Song", ["Daft Punk"], "Daft Punk", "Song"),
    (("Little Feat",), "Song", ["Little Feat"], "Little Feat", "Song"),
    (("Feat",), "Song", ["Feat"], "Feat", "Song"),
    (("Defeat. The",), "Song", ["Defeat. The"], "Defeat. The", "Song"),
    (("6 ft Under",), "Song", ["6 ft Under"], "6 ft Under", "Song"),
    (("F.T. Island",), "Song", ["F.T. Island"], "F.T. Island", "Song"),
    (("Swift Heart",), "Song", ["Swift Heart"], "Swift Heart", "Song"),
    (("Sunn O)))",), "Song", ["Sunn O)))"], "Sunn O)))", "Song"),
    (("(həd) p.e.",), "Song", ["(həd) p.e."], "(həd) p.e.", "Song"),
    (("!!! (Chk Chk Chk)",), "Song", ["!!! (Chk Chk Chk)"], "!!! (Chk Chk Chk)", "Song"),
    # Guests.
    (("A feat. B",), "Song", ["A", "+B"], "A feat. B", "Song"),
    (("A feat B",), "Song", ["A", "+B"], "A feat B", "Song"),
    (("A Feat. B",), "Song", ["A", "+B"], "A Feat. B", "Song"),
    (("A FEAT. B",), "Song", ["A", "+B"], "A FEAT. B", "Song"),
    (("A ft. B",), "Song", ["A", "+B"], "A ft. B", "Song"),
    (("A ft B",), "Song", ["A", "+B"], "A ft B", "Song"),
    (("A Ft. B",), "Song", ["A", "+B"], "A Ft. B", "Song"),
    (("A featuring B",), "Song", ["A", "+B"], "A featuring B", "Song"),
    (("A Featuring B",), "Song", ["A", "+B"], "A Featuring B", "Song"),
    (("A (feat. B)",), "Song", ["A", "+B"], "A (feat. B)", "Song"),
    (("A (ft. B)",), "Song", ["A", "+B"], "A (ft. B)", "Song"),
    (("A [featuring B]",), "Song", ["A", "+B"], "A [featuring B]", "Song"),
    (("A (feat. B",), "Song", ["A", "+B"], "A (feat. B", "Song"),
    (("A (feat. B) & C",), "Song", ["A", "+B", "C"], "A (feat. B) & C", "Song"),
    (("A (feat. B) Orchestra",), "Song", ["A (feat. B) Orchestra"], "A (feat. B) Orchestra", "Song"),
    (("  A   feat.   B  ",), "Song", ["A", "+B"], "A feat. B", "Song"),
    (("DECO feat.初音ミク",), "Song", ["DECO", "+初音ミク"], "DECO feat.初音ミク", "Song"),
    (("A（feat. B）",), "Song", ["A", "+B"], "A（feat. B）", "Song"),
    (("A feat. B feat. C",), "Song", ["A", "+B", "+C"], "A feat. B feat. C", "Song"),
    (("A feat. Simon & Garfunkel",), "Song", ["A", "+Simon & Garfunkel"], "A feat. Simon & Garfunkel", "Song"),
    (("Simon & Garfunkel feat. AC/DC",), "Song", ["Simon & Garfunkel", "+AC/DC"], "Simon & Garfunkel feat. AC/DC", "Song"),
    (("Little Feat feat. B",), "Song", ["Little Feat", "+B"], "Little Feat feat. B", "Song"),
    (("A feat. FT Island",), "Song", ["A", "+FT Island"], "A feat. FT Island", "Song"),
    (("A feat.",), "Song", ["A feat."], "A feat.", "Song"),
    (("feat. B",), "Song", ["feat. B"], "feat. B", "Song"),
    # Several values.
    (("A", "B"), "Song", ["A", "B"], "A & B", "Song"),
    (("A", "B", "C"), "Song", ["A", "B", "C"], "A, B & C", "Song"),
    (("A", "feat. B"), "Song", ["A", "+B"], "A feat. B", "Song"),
    (("A", "(feat. B)"), "Song", ["A", "+B"], "A feat. B", "Song"),
    (("A feat. B", "C"), "Song", ["A", "+B", "C"], "A feat. B, C", "Song"),
    (("A", "A feat. B"), "Song", ["A", "+B"], "A feat. B", "Song"),
    (("A", "a"), "Song", ["A"], "A", "Song"),
    (("AC/DC", "Earth, Wind & Fire"), "Song", ["AC/DC", "Earth, Wind & Fire"], "AC/DC & Earth, Wind & Fire", "Song"),
    (("", "A", " "), "Song", ["A"], "A", "Song"),
    ((), "Song", [], "", "Song"),
    # Guests in the title.
    (("A",), "Song (feat. B)", ["A", "+B"], "A feat. B", "Song"),
    (("A",), "Song [ft. B]", ["A", "+B"], "A feat. B", "Song"),
    (("A",), "Song (featuring B)", ["A", "+B"], "A feat. B", "Song"),
    (("A",), "Song feat. B", ["A", "+B"], "A feat. B", "Song"),
    (("A",), "Song ft. B (Remix)", ["A", "+B"], "A feat. B", "Song (Remix)"),
    (("A",), "Song (feat. B) [Remix]", ["A", "+B"], "A feat. B", "Song [Remix]"),
    (("A feat. B",), "Song (feat. B)", ["A", "+B"], "A feat. B", "Song"),
    (("A", "B"), "Song (feat. C)", ["A", "B", "+C"], "A & B feat. C", "Song"),
    (("A feat. B",), "Song (feat. C)", ["A", "+B", "+C"], "A feat. B & C", "Song"),
    (("A",), "Now Featuring You", ["A"], "A", "Now Featuring You"),
    (("A",), "Defeat (Live)", ["A"], "A", "Defeat (Live)"),
    (("A",), "(feat. B)", ["A"], "A", "(feat. B)"),
    ((), "Song (feat. B)", [], "", "Song (feat. B)"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "title", "names", "text", "bare"), CASES)
def test_an_artist_text_becomes_these_credits(
    values: tuple[str, ...], title: str, names: list[str], text: str, bare: str
) -> None:
    left, credits_ = parse_credits(values, title)
    roles = [("+" if credit.role == "featured" else "") + credit.name for credit in credits_]
    assert (roles, printed(credits_), left) == (names, text, bare)


def test_the_table_is_long_enough_to_mean_something() -> None:
    assert len(CASES) >= 40


def test_control_characters_and_excess_length_are_cut() -> None:
    title, credits_ = parse_credits(("A\0d\x1ba",), "x" * 2000)
    assert credits_[0].name == "Ada"
    assert title == "x" * 300


def test_no_title_stays_no_title() -> None:
    assert parse_credits(("A",), None)[0] is None
    assert parse_credits(("A",), "  ")[0] is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Beyoncé", "BEYONCÉ", True), ("Beyoncé", "Beyonce\u0301", True), ("Beyoncé", "Beyonce", False),
        ("ＡＢＣ", "abc", True), ("A  B", " a b ", True), ("The Band", "Band", False), ("Straße", "STRASSE", True),
        ("Ёлка", "ёлка", True), ("Ёлка", "Елка", False), ("Đỗ", "đỗ", True),
    ],
)  # fmt: skip
def test_names_are_the_same_by_case_and_form_but_not_by_accent(one: str, other: str, same: bool) -> None:
    assert (fold(one) == fold(other)) is same


@pytest.mark.parametrize("name", ["Various Artists", "various artists", "VA", "V.A.", "Various"])
def test_various_artists_have_several_names(name: str) -> None:
    assert is_various(name)


def test_a_given_join_phrase_replaces_the_usual_one_only_there() -> None:
    names = [NamedCredit("A"), NamedCredit("B"), NamedCredit("C", "featured")]
    assert printed(default_joins(names, [None, None, None])) == "A & B feat. C"
    assert printed(default_joins(names, [" vs. ", None, None])) == "A vs. B feat. C"
