"""What files say of themselves, as honest, careless and hostile programs write it."""

import base64
import io
import struct
import zlib
from pathlib import Path
from typing import Any, Protocol

import mutagen
import pytest
from mutagen import flac, id3, mp4
from PIL import Image

from antiphon_file.adapters.probe import analyse, cover_of
from antiphon_file.adapters.vorbis import parse
from antiphon_file.domain import Refused


class Sound(Protocol):
    def __call__(self, kind: str, seconds: float = 1.0, **how: Any) -> Path: ...


def said(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = analyse(str(path), max_seconds=60)["said"]
    return found


def with_id3(path: Path, *frames: id3.Frame, version: int = 4) -> Path:
    tags = id3.ID3()
    for frame in frames:
        tags.add(frame)
    tags.save(path, v2_version=version, v1=0)
    return path


def jpeg(side: int = 32) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), "teal").save(buffer, "JPEG")
    return buffer.getvalue()


EVERYTHING = {
    "title": "Đêm", "artists": ("Nguyễn Ánh", "Ёлка"), "album": "夜明け", "album_artist": "Various",
    "track_number": 3, "disc_number": 2, "release_date": "2021-06-21", "genres": ("Ambient", "Drone"),
    "explicit": True, "compilation": True,
}  # fmt: skip


def frames() -> list[id3.Frame]:
    texts = {
        "TIT2": "Đêm", "TALB": "夜明け", "TPE2": "Various", "TRCK": "3/12", "TPOS": "2/2", "TDRC": "2021-06-21",
        "TCMP": "1",
    }  # fmt: skip
    several = {"TPE1": ["Nguyễn Ánh", "Ёлка"], "TCON": ["Ambient", "Drone"]}
    return [
        *(id3.Frames[name](encoding=3, text=[text]) for name, text in texts.items()),
        *(id3.Frames[name](encoding=3, text=values) for name, values in several.items()),
        id3.TXXX(encoding=3, desc="ITUNESADVISORY", text=["1"]),
    ]


@pytest.mark.parametrize("kind", ["mp3", "wav", "flac", "ogg", "opus", "m4a"])
def test_every_format_tells_all_it_can(sound: Sound, kind: str) -> None:
    path = sound(kind)
    if kind in {"mp3", "wav"}:
        file: Any = mutagen.File(path)
        if file.tags is None:
            file.add_tags()
        for frame in frames():
            file.tags.add(frame)
        file.save()
    elif kind == "m4a":
        file = mp4.MP4(path)
        file["\xa9nam"], file["\xa9alb"], file["aART"] = "Đêm", "夜明け", "Various"
        file["\xa9ART"], file["\xa9gen"] = ["Nguyễn Ánh", "Ёлка"], ["Ambient", "Drone"]
        file["trkn"], file["disk"], file["\xa9day"] = [(3, 12)], [(2, 2)], "2021-06-21T00:00:00Z"
        file["cpil"], file["rtng"] = True, [1]
        file.save()
    else:
        file = mutagen.File(path)
        values = {
            "title": "Đêm", "album": "夜明け", "albumartist": "Various", "tracknumber": "03", "discnumber": "2",
            "date": "2021-06-21", "compilation": "1", "itunesadvisory": "1",
        }  # fmt: skip
        for name, value in values.items():
            file[name] = value
        file["artist"], file["genre"] = ["Nguyễn Ánh", "Ёлка"], ["Ambient", "Drone"]
        file.save()
    assert said(path) == EVERYTHING


def test_no_tags_at_all_are_as_welcome(sound: Sound) -> None:
    for kind in ("mp3", "flac", "ogg", "m4a", "wav", "aac"):
        nothing = said(sound(kind))
        assert nothing["title"] is None
        assert nothing["artists"] == ()


def test_id3_of_version_23_does_not_split_names_at_slashes(sound: Sound) -> None:
    path = with_id3(sound("mp3"), id3.TPE1(encoding=1, text=["AC/DC"]), id3.TDRC(text=["1980"]), version=3)
    assert (said(path)["artists"], said(path)["release_date"]) == (("AC/DC",), "1980")


def test_id3_of_version_22_is_read(sound: Sound) -> None:
    def frame(name: bytes, text: str) -> bytes:
        body = b"\x00" + text.encode("latin-1")
        return name + len(body).to_bytes(3, "big") + body

    body = frame(b"TT2", "Old") + frame(b"TP1", "Older") + frame(b"TYE", "1999")
    path = sound("mp3")
    path.write_bytes(b"ID3\x02\x00\x00" + struct.pack(">I", len(body)) + body + path.read_bytes())
    assert (said(path)["title"], said(path)["artists"], said(path)["release_date"]) == (
        "Old",
        ("Older",),
        "1999",
    )


def test_id3_of_version_1_is_read_when_there_is_nothing_else(sound: Sound) -> None:
    path = sound("mp3")
    mutagen.File(path).delete()
    tag = b"TAG" + "Песня".encode("cp1251").ljust(30, b"\0") + "Автор".encode("cp1251").ljust(30, b"\0")
    path.write_bytes(path.read_bytes() + tag.ljust(127, b"\0") + b"\x08")
    assert (said(path)["title"], said(path)["artists"]) == ("Песня", ("Автор",))


@pytest.mark.parametrize(
    ("title", "artist", "really"),
    [
        ("Группа крови", "Кино", "cp1251"),
        ("無罪", "椎名林檎", "cp932"),
        ("Đêm", "Ánh", "utf-8"),
        ("Jóga", "Björk", "latin-1"),
    ],
)
def test_latin1_frames_are_read_as_what_their_bytes_are(
    sound: Sound, title: str, artist: str, really: str
) -> None:
    path = with_id3(
        sound("mp3"),
        id3.TIT2(encoding=0, text=[title.encode(really).decode("latin-1")]),
        id3.TPE1(encoding=0, text=[artist.encode(really).decode("latin-1")]),
    )
    assert (said(path)["title"], said(path)["artists"]) == (title, (artist,))


def test_nul_and_control_characters_never_arrive(sound: Sound) -> None:
    path = with_id3(
        sound("mp3"),
        id3.TIT2(encoding=3, text=["\x01Song\u202e\x1b"]),
        id3.TPE1(encoding=3, text=["One\0Two\0\0"]),
        id3.TALB(encoding=3, text=[" \0 "]),
    )
    found = said(path)
    assert (found["title"], found["artists"], found["album"]) == ("Song", ("One", "Two"), None)


def test_vorbis_comments_that_are_no_utf8_are_read_too(sound: Sound) -> None:
    path = sound("flac")
    file = flac.FLAC(path)
    file["title"], file["artist"] = "XXXXXX", "YYYY"
    file.save()
    raw = path.read_bytes().replace(b"XXXXXX", "Звезда".encode("cp1251"))
    path.write_bytes(raw.replace(b"YYYY", "Кино".encode("cp1251")))
    assert (said(path)["title"], said(path)["artists"]) == ("Звезда", ("Кино",))


@pytest.mark.parametrize("count", [0xFFFFFFFF, 2**31, 5])
def test_a_comment_count_that_lies_ends_the_reading(sound: Sound, count: int) -> None:
    good = struct.pack("<I", 7) + b"TITLE=A"
    assert parse(struct.pack("<I", 0) + struct.pack("<I", count) + good) == {"TITLE": [b"A"]}
    assert parse(struct.pack("<I", count) + good) == {}
    assert parse(b"") == {}


def test_riff_info_is_read_when_a_wav_has_no_id3(sound: Sound) -> None:
    def chunk(name: bytes, body: bytes) -> bytes:
        return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)

    info = b"INFO" + chunk(b"INAM", "Тихо".encode("cp1251") + b"\0") + chunk(b"IART", "Хор".encode("cp1251"))
    path = sound("wav")
    path.write_bytes(path.read_bytes() + chunk(b"LIST", info))
    assert (said(path)["title"], said(path)["artists"]) == ("Тихо", ("Хор",))


@pytest.mark.parametrize(
    ("date", "kept"),
    [
        ("1999", "1999"), ("1999-05", "1999-05"), ("1999-05-31", "1999-05-31"), ("1999-13", "1999"),
        ("1999-05-31T10:00:00", "1999-05-31"), ("May 1999", None), ("0000", None), ("99", None), ("19991", None),
    ],
)  # fmt: skip
def test_dates_are_year_month_day_or_nothing(sound: Sound, date: str, kept: str | None) -> None:
    path = sound("flac")
    file = flac.FLAC(path)
    file["date"] = date
    file.save()
    assert said(path)["release_date"] == kept


@pytest.mark.parametrize(
    ("text", "number"), [("3/12", 3), ("03", 3), ("0", None), ("-1", None), ("A1", None), ("9" * 30, None)]
)
def test_numbers_are_small_and_positive_or_nothing(sound: Sound, text: str, number: int | None) -> None:
    path = sound("flac")
    file = flac.FLAC(path)
    file["tracknumber"] = text
    file.save()
    assert said(path)["track_number"] == number


def test_endless_text_and_endless_values_are_cut(sound: Sound) -> None:
    path = sound("flac")
    file = flac.FLAC(path)
    file["title"], file["artist"] = "x" * 1_000_000, [f"Artist {n}" for n in range(5000)]
    file.save()
    assert len(said(path)["title"]) == 1000
    assert len(said(path)["artists"]) == 20


def compressed_frame(text_bytes: int) -> bytes:
    """An ID3v2.4 tag with one compressed title: 200 MB of it take 205 KB."""
    packer = zlib.compressobj(9)
    packed = packer.compress(b"\x03")
    for _ in range(text_bytes // 1_000_000):
        packed += packer.compress(b"A" * 1_000_000)
    packed += packer.flush()

    def syncsafe(number: int) -> bytes:
        return bytes((number >> shift) & 0x7F for shift in (21, 14, 7, 0))

    body = syncsafe(min(text_bytes + 1, 2**28 - 1)) + packed
    frame = b"TIT2" + syncsafe(len(body)) + b"\x00\x09" + body  # compressed, with a data length
    return b"ID3\x04\x00\x00" + syncsafe(len(frame)) + frame


def test_a_small_compressed_tag_is_simply_read(sound: Sound) -> None:
    path = sound("mp3")
    mutagen.File(path).delete()
    path.write_bytes(compressed_frame(2_000_000) + path.read_bytes())
    assert said(path)["title"] == "A" * 1000


def test_tags_that_unpack_to_200_mb_are_a_bomb(sound: Sound) -> None:
    path = sound("mp3")
    bomb = compressed_frame(200_000_000)
    assert len(bomb) < 210_000
    path.write_bytes(bomb + path.read_bytes())
    with pytest.raises(Refused) as refused:
        said(path)
    assert refused.value.reason == "tag_bomb"


def test_65_thousand_frames_and_broken_frames_do_no_harm(sound: Sound) -> None:
    tag = b"".join(b"TXXX" + b"\0\0\0\x04\0\0" + b"\x03a\0b" for _ in range(65_000))
    size = bytes((len(tag) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    path = sound("mp3")
    path.write_bytes(b"ID3\x04\x00\x00" + size + tag + path.read_bytes())
    assert said(path)["title"] is None
    noisy = sound("mp3")
    noisy.write_bytes(
        b"ID3\x03\x00\x80\0\0\x0f\x7f" + b"TIT2\xff\xff\xff\xff\0\0" + bytes(2037) + noisy.read_bytes()
    )
    assert said(noisy)["title"] is None


@pytest.mark.parametrize("kind", ["mp3", "flac", "ogg", "opus", "m4a"])
def test_the_front_cover_is_found_in_every_format(sound: Sound, kind: str) -> None:
    path, back, front = sound(kind), jpeg(16), jpeg(48)
    if kind == "mp3":
        covers = [
            id3.APIC(encoding=3, mime="image/jpeg", type=t, desc=str(t), data=d)
            for t, d in ((4, back), (3, front))
        ]
        with_id3(path, *covers)
    elif kind == "m4a":
        file: Any = mp4.MP4(path)
        file["covr"] = [mp4.MP4Cover(front)]
        file.save()
    else:
        pictures = []
        for number, data in ((4, back), (3, front)):
            one: Any = flac.Picture()
            one.type, one.mime, one.data = number, "image/jpeg", data
            pictures.append(one)
        file = mutagen.File(path)
        if kind == "flac":
            for one in pictures:
                file.add_picture(one)
        else:
            file["metadata_block_picture"] = [base64.b64encode(one.write()).decode() for one in pictures]
        file.save()
    assert analyse(str(path), max_seconds=60)["cover_sha256"] is not None
    assert cover_of(str(path)).width == 48


def test_a_cover_over_8_mb_is_no_cover(sound: Sound) -> None:
    data = jpeg() + bytes(9 * 1024 * 1024)
    path = with_id3(sound("mp3"), id3.APIC(encoding=3, mime="image/jpeg", type=3, desc="", data=data))
    assert analyse(str(path), max_seconds=60)["cover_sha256"] is None
