"""What the demo library holds: invented artists, albums and tracks in several scripts, and how each should
sound.
"""

from dataclasses import dataclass, field
from typing import Final, Literal

Format = Literal["mp3", "flac", "ogg", "opus", "m4a"]
Style = Literal["ambient", "lofi", "synthwave", "house", "waltz", "bossa"]


@dataclass(frozen=True, slots=True)
class Record:
    """One album. `hues` are degrees on the colour circle for its cover."""

    title: str
    artist: str
    date: str
    genre: str
    hues: tuple[int, int]
    compilation: bool = False


@dataclass(frozen=True, slots=True)
class Song:
    """One track and its recipe: style, tempo in beats a minute, key as a MIDI note, bars."""

    record: Record
    number: int
    title: str
    format: Format
    style: Style
    tempo: int
    key: int
    bars: int
    minor: bool = False
    explicit: bool = False
    artist: str = field(default="")

    @property
    def performer(self) -> str:
        """The artist as the tag names it."""
        return self.artist or self.record.artist

    @property
    def path(self) -> str:
        """Where it lies in the library, relative."""
        return f"{self.record.artist}/{self.record.title}/{self.number:02d} {self.title}.{self.format}"


_LUMIERES: Final = Record("Lumières d'été", "Élodie Marchère", "2021-06-21", "Bossa Nova", (28, 345))
_SNOW: Final = Record("Ёлка под снегом", "Снежный Телеграф", "2019-12-01", "Ambient", (205, 260))
_HANOI: Final = Record("Đêm phố cổ", "Ánh Đèn Vàng", "2022", "Lo-Fi", (48, 12))
_DAWN: Final = Record("夜明けの電車", "硝子の汀", "2023-03", "Electronic", (300, 200))
_PIER: Final = Record("North Pier", "Harbour & Pine", "2020-09-04", "Synthwave", (185, 320))
_SIGNALS: Final = Record(
    "Signals Vol. 1", "Various Artists", "2024-02-02", "House", (140, 220), compilation=True
)

SONGS: Final[tuple[Song, ...]] = (
    Song(_LUMIERES, 1, "Café à minuit", "mp3", "bossa", 126, 62, 20),
    Song(_LUMIERES, 2, "Rue des Érables", "flac", "waltz", 108, 65, 24),
    Song(_LUMIERES, 3, "L'heure bleue", "m4a", "lofi", 78, 60, 12, minor=True),
    Song(_SNOW, 1, "Тихий снег", "flac", "ambient", 66, 57, 12, minor=True),
    Song(_SNOW, 2, "Ёлка", "ogg", "waltz", 100, 62, 20),
    Song(_SNOW, 3, "Вальс для соседей", "mp3", "waltz", 120, 64, 28, minor=True),
    Song(_HANOI, 1, "Mưa tháng Bảy", "opus", "lofi", 74, 59, 12, minor=True),
    Song(_HANOI, 2, "Phố cổ", "ogg", "lofi", 82, 62, 14),
    Song(_HANOI, 3, "Đường về nhà", "mp3", "ambient", 72, 64, 10),
    Song(_DAWN, 1, "始発", "opus", "house", 120, 57, 16, minor=True),
    Song(_DAWN, 2, "雨のプラットホーム", "m4a", "lofi", 76, 61, 12, minor=True),
    Song(_DAWN, 3, "夜明けの電車", "flac", "synthwave", 104, 59, 16),
    Song(_PIER, 1, "Harbour Lights", "mp3", "synthwave", 100, 57, 18, minor=True),
    Song(
        _PIER, 2, "Salt and Static", "ogg", "synthwave", 108, 60, 18,
        artist="Harbour & Pine feat. Élodie Marchère",
    ),
    Song(_PIER, 3, "Damn the Tide", "m4a", "house", 122, 55, 20, minor=True, explicit=True),
    Song(_SIGNALS, 1, "Green Light, Slow Train", "opus", "house", 118, 62, 18, artist="Harbour & Pine"),
    Song(_SIGNALS, 2, "信号", "mp3", "synthwave", 112, 64, 18, minor=True, artist="硝子の汀"),
    Song(_SIGNALS, 3, "Señales de humo", "ogg", "bossa", 132, 57, 22, minor=True, artist="Dúo Peñarosa"),
    Song(_SIGNALS, 4, "Сигнал с Севера", "m4a", "ambient", 70, 60, 10, artist="Снежный Телеграф"),
)  # fmt: skip
