"""The one spelling of an e-mail address."""

import pytest

from antiphon_auth.domain.accounts import checked_email, folded_email


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Ada@Example.ORG", "ada@example.org"),
        ("ａｄａ＠ｅｘａｍｐｌｅ．ｏｒｇ", "ada@example.org"),
        ("ada@exampleﬁ.org", "ada@examplefi.org"),
        ("Ünsal@Müller.DE", "ünsal@müller.de"),
        ("o'brien+tag@mail.example.co.uk", "o'brien+tag@mail.example.co.uk"),
        ("ИВАН@почта.РФ", "иван@почта.рф"),
    ],
)
def test_spellings_of_one_address_are_kept_as_one(typed: str, kept: str) -> None:
    assert checked_email(typed) == kept
    assert folded_email(checked_email(typed)) == kept


@pytest.mark.parametrize(
    "text",
    [
        "", "@", "a@", "@b.c", "ada", "ada@localhost", "a b@c.de", " a@b.de", "a@b.de ", "a@b..de", ".a@b.de",
        "a.@b.de", "a..b@c.de", "a@-b.de", "a@b-.de", "a@b@c.de", "%", "_", "admin%00", "a\n@b.de", "a@b.de\n",
        "a\u200b@b.de", "\u202ea@b.de", "a" * 65 + "@b.de", "a@" + "b" * 64 + ".de", "a@" + "b." * 126 + "de",
        'a"b@c.de', "a<b>@c.de", "a,b@c.de", "a@[127.0.0.1]", "a@b_c.de",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must be an e-mail address$"):
        checked_email(text)
