"""The password policy: forty values and what becomes of them, judged by the real zxcvbn."""

import time
from collections.abc import AsyncIterator

import pytest

from antiphon_auth.adapters.passwords import Argon2Passwords
from antiphon_auth.domain.passwords import core_of, refuse_weak
from antiphon_common.errors import Invalid

GOOD = [
    "copper lantern quietly orbiting",
    "correct horse battery staple",
    "seven bees hum at the door",
    "thelittleboatsleptunderyellowcloudsuntilthefoxcamebackfromtown12",
    "nebenan wohnt ein stiller biber",
    "тихий фонарь над рекой",
    "đèn lồng trôi trên sông lặng",
    "静かな提灯が川を流れる夜",
    "9rX!w2Lq#8vT",
    "kF7pWz2mQd",
    "83719402118566204471",
    "zebra-quartz-mango-41",
    "xylophone umbrella gravel",
    "ñandú camina sobre arena fría",
    "MyCatAteTheBlueWaffleAt9",
    "🐙🎷 jazz for the octopus 🌧️",
    "u8S&c0p3 moonquilt",
    "a" * 8 + "kettle ZORP fjord vex",
    "password manager gave me: qT5-vN8-hW3",
    "spaces   are   kept   quietly orbit",
    "copper lantern quietly orbiting" + "x" * 993,
]
BAD = [
    "password", "Password12345678", "Passw0rd!", "p@ssw0rd2024", "iloveyou", "ILoveYou2!", "qwertyuiop",
    "1qaz2wsx3edc", "12345678", "1234567890123456", "aaaaaaaaaaaa", "abcabcabcabc", "abcdefghijkl",
    "letmein123", "dragon1990", "monkey!!", "antiphon", "Antiphon2026!", "antiphonantiphon", "playlist123",
    "administrator", "!!!music!!!", "19901990", "2011-11-11", "qazwsxedc", "football1", "ada.lovelace",
    "lovelace1815", "short", "1234567", "", "zyxwvutsrqponmlk", "1234567890" * 102, "x" * 1025, "zxcvbnm,./", "trustno1trustno1",
]  # fmt: skip


@pytest.fixture
async def judge() -> AsyncIterator[Argon2Passwords]:
    judge = Argon2Passwords()
    yield judge
    await judge.stop()


async def check(judge: Argon2Passwords, password: str) -> None:
    strength = await judge.strength(password, ("ada.lovelace", "Ada Lovelace", "lovelace"))
    refuse_weak(password, strength=strength, common=judge.common)


@pytest.mark.parametrize("password", GOOD)
async def test_an_unguessable_password_is_accepted(judge: Argon2Passwords, password: str) -> None:
    await check(judge, password)


@pytest.mark.parametrize("password", BAD)
async def test_a_guessable_password_is_refused_with_a_reason(judge: Argon2Passwords, password: str) -> None:
    with pytest.raises(Invalid) as refusal:
        await check(judge, password)
    assert refusal.value.code in {"password_length", "password_common", "password_weak"}
    assert refusal.value.errors[0].loc == "body.password"


def test_a_common_word_in_costume_is_common_even_when_the_estimate_is_high() -> None:
    with pytest.raises(Invalid, match="password_common"):
        refuse_weak("$$Sunshine-77", strength=4, common=frozenset({"sunshine"}))
    refuse_weak("83719402118566204471 sunshine", strength=4, common=frozenset({"sunshine"}))


def test_the_core_of_a_password_has_no_case_and_no_ornaments() -> None:
    assert core_of("!!Antiphon 2026!!") == "antiphon"


@pytest.mark.parametrize("hostile", ["4@8({[</369!1|0$5+7%2" * 5, "1" * 1024, "p@$$w0rd" * 128, "12" * 512])
async def test_no_password_keeps_the_judge_busy(judge: Argon2Passwords, hostile: str) -> None:
    await judge.strength("warm up", ())
    started = time.process_time()
    await judge.strength(hostile[:1024], ())
    # Without the bound on leet signs the first one takes five seconds.
    assert time.process_time() - started < 1.0
