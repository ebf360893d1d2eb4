"""Showing what an agent wrote, so that people see what is there and not what it pretends to be.

One table lists every character that draws nothing, reorders its neighbours, or means something to
a terminal; one compiled pattern finds them. Nothing is ever changed in storage: hashes and
evidence keep the exact bytes, and only what is shown passes through here.
"""

import json
import re
import unicodedata
from collections.abc import Iterator
from html import escape
from typing import Any

from django.utils.safestring import SafeString, mark_safe


def _ranges(text: str) -> list[tuple[int, int]]:
    pairs = (item.split("-") for item in text.split())
    return [(int(pair[0], 16), int(pair[-1], 16)) for pair in pairs]


def _members(ranges: list[tuple[int, int]]) -> str:
    """The inside of a character class."""
    return "".join(f"{re.escape(chr(low))}-{re.escape(chr(high))}" for low, high in ranges)


# Categories Cc, Cf, Co, Cs, Zl, Zp and Zs, all default-ignorable code points and the Braille
# blank; without space and line feed. A test derives it anew from this Python's Unicode data.
INVISIBLE = _ranges("""
    0000-0009 000B-001F 007F-00A0 00AD 034F 0600-0605 061C 06DD 070F 0890-0891 08E2 115F-1160 1680
    17B4-17B5 180B-180F 2000-200F 2028-202F 205F-206F 2800 3000 3164 D800-F8FF FE00-FE0F FEFF FFA0
    FFF0-FFFB 110BD 110CD 13430-13438 1BCA0-1BCA3 1D173-1D17A E0000-E0FFF F0000-FFFFD 100000-10FFFD
""")

# Odd but ordinary: tabs, wide and unbreakable spaces, soft hyphens, signs that do draw something.
HARMLESS = frozenset(
    code
    for low, high in _ranges("""
        0009 000D 00A0 00AD 0600-0605 06DD 070F 0890-0891 08E2 1680 2000-200A 202F 205F 3000
        110BD 110CD
    """)
    for code in range(low, high + 1)
)

# Where joiners are part of spelling: Arabic, Syriac, N'Ko, the Indic scripts, Myanmar, Khmer,
# Mongolian.
JOINING = _ranges("0600-07FF 08A0-0DFF 1000-109F 1780-18AF A840-A87F FB50-FDFF FE70-FEFC")

MAX_STACKED = 4
MARKS_END = 0x10000  # beyond it, marks pile up on letters of their own script only

CONTROLS = (
    "NUL SOH STX ETX EOT ENQ ACK BEL BS TAB LF VT FF CR SO SI DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN "
    "EM SUB ESC FS GS RS US"
)
SHORT_NAMES = dict(enumerate(CONTROLS.split())) | {
    **{0x7F: "DEL", 0x85: "NEL", 0xA0: "NBSP", 0xAD: "SHY", 0x34F: "CGJ", 0x61C: "ALM"},
    **{0x200B: "ZWSP", 0x200C: "ZWNJ", 0x200D: "ZWJ", 0x200E: "LRM", 0x200F: "RLM"},
    **{0x2028: "LS", 0x2029: "PS", 0x202A: "LRE", 0x202B: "RLE", 0x202C: "PDF", 0x202D: "LRO"},
    **{0x202E: "RLO", 0x202F: "NNBSP", 0x2060: "WJ", 0x2066: "LRI", 0x2067: "RLI"},
    **{0x2068: "FSI", 0x2069: "PDI", 0xFEFF: "BOM"},
}
CATEGORY_NAMES = {"Cc": "CONTROL", "Co": "PRIVATE USE", "Cs": "SURROGATE", "Cn": "UNASSIGNED"}


def _stacking() -> list[tuple[int, int]]:
    """Marks that pile up on the letter before them, without those that are invisible anyway."""
    hidden = {code for low, high in INVISIBLE if high < MARKS_END for code in range(low, high + 1)}
    ranges: list[tuple[int, int]] = []
    for code in range(0x300, MARKS_END):
        if unicodedata.category(chr(code)) not in {"Mn", "Me"} or code in hidden:
            continue
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1] = (ranges[-1][0], code)
        else:
            ranges.append((code, code))
    return ranges


# One class comes first, so that clean text is passed over at the speed of the engine's search
# (five times that of a choice between two). Group 1 is a single mark, group 2 what towers on it.
_MARKS = _members(_stacking())
NOTABLE = re.compile(
    f"[{_members(INVISIBLE)}{_MARKS}\\n&<>\"'](?:(?<=([{_MARKS}]))([{_MARKS}]{{{MAX_STACKED},}})?)?"
)


def render(value: Any, *, limit: int = 2000) -> SafeString:
    """HTML of what an agent wrote: escaped, and every hidden character a visible token.

    The caller isolates its direction with <bdi>; anything but text is shown as JSON.
    """
    shown, length = _cut(value, limit)
    html = NOTABLE.sub(_as_html, shown)
    if length > limit:
        html += f'<span class="mark mark-cut">… {length:,} characters in all</span>'
    return mark_safe(html)


def plain(value: Any, limit: int | None = None) -> str:
    """The same as one line of plain text, for terminals, mail, admin and export.

    Line feeds become tokens too: what an agent wrote must not be able to begin a line.
    """
    shown, length = _cut(value, limit)
    text = NOTABLE.sub(_as_plain, shown)
    return f"{text}… ({length:,} characters in all)" if len(shown) < length else text


def whole(value: Any) -> str:
    """All of it as plain text with its own lines; a value that is no text is JSON, laid out."""
    if not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)
    return "\n".join(plain(line) for line in value.split("\n"))


def alarming(value: Any) -> list[str]:
    """Each alarming thing anywhere in a JSON value, keys included, named once: `U+202E RLO`."""
    return list(dict.fromkeys(_alarms(value)))


def has_alarming(value: Any) -> bool:
    """Whether a JSON value holds, in any text or key, something that hides or reorders text."""
    return next(_alarms(value), None) is not None


def refuse_unstorable(value: Any) -> list[str]:
    """JSON pointers to the texts that no database takes: with NUL or a lone surrogate.

    A member whose key is such a text is reported by the pointer of its object.
    """
    return list(dict.fromkeys(pointer for pointer, text in texts(value) if not is_storable(text)))


def is_storable(text: str) -> bool:
    """Whether a text has neither NUL nor a lone surrogate."""
    return re.search("[\x00\ud800-\udfff]", text) is None


def name_of(character: str) -> str:
    """`U+202E RLO`."""
    code = ord(character)
    return f"U+{code:04X} {_short_name(code, character)}"


def _short_name(code: int, character: str) -> str:
    if code in SHORT_NAMES:
        return SHORT_NAMES[code]
    if 0xFE00 <= code <= 0xFE0F:
        return f"VS{code - 0xFE00 + 1}"
    if 0xE0100 <= code <= 0xE01EF:
        return f"VS{code - 0xE0100 + 17}"
    fallback = CATEGORY_NAMES.get(unicodedata.category(character), "FORMAT")
    return unicodedata.name(character, fallback)


def _cut(value: Any, limit: int | None) -> tuple[str, int]:
    if not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False, default=str)
    return value[:limit], len(value)


def _as_html(match: re.Match[str]) -> str:
    if match[0] == "\n":
        return "<br>"
    if not _is_hidden(match):
        return escape(match[0])
    kept, name, is_alarm = _token(match)
    severity = "mark-alarm" if is_alarm else "mark-note"
    title = "hides or reorders text" if is_alarm else "invisible, as usual in such a place"
    return f'{kept}<span class="mark {severity}" title="{title}" dir="ltr">[{name}]</span>'


def _as_plain(match: re.Match[str]) -> str:
    if not _is_hidden(match):
        return match[0]
    kept, name, _ = _token(match)
    return f"{kept}[{name}]"


def _is_hidden(match: re.Match[str]) -> bool:
    """Whether this needs a token: neither a mark or few, nor what only HTML cares about."""
    return match[0] not in "&<>\"'" and (match[1] is None or match[2] is not None)


def _token(match: re.Match[str]) -> tuple[str, str, bool]:
    """What stays as it is, the name of what does not, and whether that is alarming."""
    found = match[0]
    if len(found) > 1:
        excess = len(found) - MAX_STACKED
        return found[:MAX_STACKED], f"{excess} more COMBINING MARKS", True
    return "", name_of(found), not _is_ordinary(match.string, match.start())


def _alarms(value: Any) -> Iterator[str]:
    for _, text in texts(value):
        for match in NOTABLE.finditer(text):
            if match[0] != "\n" and _is_hidden(match):
                _, name, is_alarm = _token(match)
                if is_alarm:
                    yield name


def _is_ordinary(text: str, index: int) -> bool:
    """Whether a listed character is where honest writing puts it."""
    code = ord(text[index])
    if code in HARMLESS:
        return True
    before, after = text[index - 1 : index], text[index + 1 : index + 2]
    if code in {0xFE0E, 0xFE0F}:
        return _is_emoji(before) or (before in set("0123456789#*") and after == "\u20e3")
    if code == 0x200D and (_is_emoji(before) or before == "\ufe0f"):
        return _is_emoji(after)
    if code in {0x200C, 0x200D}:
        return _is_joining(before) and _is_joining(after)
    return False


def _is_emoji(character: str) -> bool:
    """Symbols that have a coloured form, skin tones included. Errs on the side of symbols."""
    return character > "\xa8" and (
        unicodedata.category(character) in {"So", "Sm"} or character in "‼⁉〰〽🏻🏼🏽🏾🏿"
    )


def _is_joining(character: str) -> bool:
    return (
        character != ""
        and any(low <= ord(character) <= high for low, high in JOINING)
        and unicodedata.category(character)[0] in "LM"
    )


def texts(value: Any) -> Iterator[tuple[str, str]]:
    """Every text in a JSON value in order, with its JSON pointer; keys with that of their object.

    Not recursive: how deep it goes is the sender's choice.
    """
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        pointer, current = waiting.pop()
        if isinstance(current, str):
            yield pointer, current
        elif isinstance(current, dict):
            members = []
            for key, inner in current.items():
                yield pointer, str(key)
                escaped = str(key).replace("~", "~0").replace("/", "~1")
                members.append((f"{pointer}/{escaped}" if is_storable(escaped) else pointer, inner))
            waiting.extend(reversed(members))
        elif isinstance(current, list | tuple):
            items = [(f"{pointer}/{index}", inner) for index, inner in enumerate(current)]
            waiting.extend(reversed(items))


# Scripts that are written together in one word; any other mixture is worth a look.
WRITTEN_TOGETHER = (
    {"LATIN", "CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"},
    {"LATIN", "CJK", "HANGUL"},
    {"LATIN", "CJK", "BOPOMOFO"},
)

# Letters drawn like a Latin one; the full list of UTS 39 is longer, these are the ones in use.
LOOK_ALIKES = str.maketrans(
    "авсԁеһіјкӏмнорԛѕтуԝхѵαβγεικνορτυχωııɡɩ",
    "abcdehijkimhopqstuwxvabyeiknoptuxwiigi",
) | str.maketrans("01|lɑ", "oiiia")


def mixed_scripts(value: str) -> bool:
    """Whether an identifier mixes scripts that are not written together, such as а and a."""
    scripts = {
        unicodedata.name(character, "UNKNOWN").split()[0]
        for character in value
        if unicodedata.category(character).startswith("L")
    }
    return len(scripts) > 1 and not any(scripts <= family for family in WRITTEN_TOGETHER)


def foreign_digits(value: str) -> bool:
    """Whether an identifier has decimal digits other than 0 to 9."""
    return any(character.isdecimal() and not character.isascii() for character in value)


def skeleton(value: str) -> str:
    """What a hurried reader sees: equal skeletons of different texts look alike."""
    seen = "".join(
        character
        for character in unicodedata.normalize("NFKD", NOTABLE.sub("", value)).casefold()
        if unicodedata.category(character) not in {"Mn", "Me"}
    )
    return seen.translate(LOOK_ALIKES).replace("rn", "m").replace("vv", "w")
