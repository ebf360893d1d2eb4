"""What an agent wrote is shown as what is there, never as what it pretends to be."""

import random
import re
import time
import unicodedata

from django.template import Context, Template
from django.test import SimpleTestCase
from django.utils.safestring import SafeString, mark_safe

from proposals import text

DEFAULT_IGNORABLE = """
    00AD 034F 061C 115F-1160 17B4-17B5 180B-180F 200B-200F 202A-202E 2060-206F 3164 FE00-FE0F FEFF
    FFA0 FFF0-FFF8 1BCA0-1BCA3 1D173-1D17A E0000-E0FFF
"""
ALARMING = """
    0000 0007 0008 000B 000C 001B 007F 0085 009B 034F 061C 115F 1160 17B4 180B 180E 200B 200E 200F
    2028 2029 202A 202B 202C 202D 202E 2060 2061 2062 2063 2064 2066 2067 2068 2069 206A 206F 2800
    3164 D800 DFFF E000 F8FF FE00 FE0E FE0F FEFF FFA0 FFF9 1D173 E0001 E0020 E0041 E007F E0100
    E01EF F0000 100000 10FFFD
"""
TAG = re.compile(
    r"<br>|<span class=\"mark mark-(?:alarm|note|cut)\" title=\"[^\"<>]*\" dir=\"ltr\">"
)


def characters(ranges):
    for item in ranges.split():
        low, _, high = item.partition("-")
        yield from map(chr, range(int(low, 16), int(high or low, 16) + 1))


def listed():
    return {code for low, high in text.INVISIBLE for code in range(low, high + 1)}


def hostile_corpus():
    """Over 300 strings: each alarming character in five places, and mixtures of everything."""
    for character in characters(ALARMING):
        yield from (
            character,
            f"pay {character}evil",
            f"{character}start",
            f"end{character}",
            f"<b>{character * 3}</b>\n\t&",
        )
    chance = random.Random(1)
    alphabet = [*characters(ALARMING), *"ab<>&\"'\n\t \r", "\u0301", "😀", "\u200d", "ا"]
    for _ in range(100):
        some = chance.choice([*characters(ALARMING)][:40])
        yield "".join(chance.choices(alphabet, k=chance.randrange(1, 40))) + some


CORPUS = list(hostile_corpus())


class TableTests(SimpleTestCase):
    def test_table_covers_what_the_unicode_data_calls_invisible(self):
        categories = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp", "Zs"}
        derived = {
            code for code in range(0x110000) if unicodedata.category(chr(code)) in categories
        }
        derived |= {ord(character) for character in characters(DEFAULT_IGNORABLE)} | {0x2800}
        derived -= {ord(" "), ord("\n")}
        self.assertEqual(derived - listed(), set())
        if unicodedata.unidata_version == "14.0.0":
            self.assertEqual(derived, listed())

    def test_table_has_the_measured_size(self):
        self.assertEqual((len(listed()), len(text.INVISIBLE)), (143_798, 34))
        self.assertEqual(sum(chr(code).isprintable() for code in listed()), 268)

    def test_every_listed_character_becomes_a_token_at_every_door(self):
        for code in listed():
            shown = text.plain(chr(code))
            if shown != f"[{text.name_of(chr(code))}]" or not shown.isprintable():
                self.fail(f"{code:X} is shown as {shown!r}")
        for low, high in text.INVISIBLE:
            for code in {low, (low + high) // 2, high}:
                self.assertNotIn(chr(code), text.render(chr(code)))


class RenderTests(SimpleTestCase):
    def test_corpus_is_large(self):
        self.assertGreaterEqual(len(set(CORPUS)), 300)

    def test_nothing_hostile_survives(self):
        hidden = listed()
        for value in CORPUS:
            with self.subTest(value=ascii(value)):
                html, line = text.render(value), text.plain(value)
                self.assertIsInstance(html, SafeString)
                self.assertEqual({ord(c) for c in html} & hidden, set())
                self.assertEqual({ord(c) for c in line} & (hidden | {ord("\n")}), set())
                self.assertEqual(re.findall(r"[<>]", TAG.sub("", html).replace("</span>", "")), [])
                self.assertIn("mark-alarm", html)
                self.assertTrue(text.has_alarming(value))
                html.encode(), line.encode()

    def test_token_names_the_character(self):
        self.assertEqual(text.plain("a\u202eb"), "a[U+202E RLO]b")
        self.assertEqual(text.plain("\ue000"), "[U+E000 PRIVATE USE]")
        self.assertEqual(text.plain("\u3164"), "[U+3164 HANGUL FILLER]")
        self.assertEqual(text.plain("\U000e0041"), "[U+E0041 TAG LATIN CAPITAL LETTER A]")
        self.assertRegex(
            text.render("\u202e"),
            r'^<span class="mark mark-alarm" title="[^"]+" dir="ltr">\[U\+202E RLO\]</span>$',
        )

    def test_lines_and_tabs(self):
        self.assertEqual(text.render("a\nb"), "a<br>b")
        self.assertEqual(text.plain("a\nb"), "a[U+000A LF]b")
        self.assertIn("mark-note", text.render("a\tb"))

    def test_html_is_escaped_even_when_marked_safe(self):
        self.assertEqual(
            text.render(mark_safe('<a href="x">\'&amp;')),
            "&lt;a href=&quot;x&quot;&gt;&#x27;&amp;amp;",
        )
        self.assertEqual(text.plain("<b>&"), "<b>&")

    def test_honest_writing_is_shown_and_not_alarming(self):
        for value in (
            "Größe, naïve, Việt Nam, e\u0301",
            "👨\u200d👩\u200d👧",
            "❤\ufe0f\u200d🔥",
            "👍🏽 1\ufe0f\u20e3",
            "می\u200cخواهم",
            "क्\u200dष",
            "10\u00a0000\u202f€",
            "co\u00adoperate",
            "東京\u3000タワー",
            "one\r\ntwo\tthree",
        ):
            with self.subTest(value=value):
                self.assertFalse(text.has_alarming(value))
                self.assertNotIn("mark-alarm", text.render(value))

    def test_joiners_and_selectors_in_the_wrong_place_alarm(self):
        for value in (
            "a\u200db",
            "pay\u200cpal",
            "😀\u200dx",
            "a\ufe0f",
            "😀\ufe0f\ufe0f",
            "1\ufe0f",
        ):
            with self.subTest(value=ascii(value)):
                self.assertTrue(text.has_alarming(value))

    def test_towers_of_marks_are_cut_at_four(self):
        self.assertEqual(text.plain("e" + "\u0301" * 4), "e" + "\u0301" * 4)
        tower = "e" + "\u0301" * 9
        self.assertEqual(text.plain(tower), "e" + "\u0301" * 4 + "[5 more COMBINING MARKS]")
        self.assertEqual(text.alarming(tower), ["5 more COMBINING MARKS"])

    def test_long_texts_are_cut_and_tell_their_length(self):
        self.assertEqual(
            text.render("x" * 12_345, limit=3),
            'xxx<span class="mark mark-cut">… 12,345 characters in all</span>',
        )
        self.assertEqual(text.plain("x" * 12_345, 3), "xxx… (12,345 characters in all)")
        self.assertEqual(text.render("x" * 2000), "x" * 2000)
        self.assertEqual(text.plain("xxx", 3), "xxx")

    def test_anything_but_text_is_shown_as_json(self):
        self.assertEqual(
            text.plain({"a": [1, None, "ü\u202e"]}), '{"a": [1, null, "ü[U+202E RLO]"]}'
        )
        self.assertEqual(text.render(None), "null")

    def test_clean_text_costs_under_a_millisecond(self):
        for value in ("The customer asked for a refund. " * 400, "Клиент просил возврат. " * 500):
            with self.subTest(value=value[:10]):
                self.assertLess(self.fastest(value[:10_000]), 0.001)

    def fastest(self, value):
        """The best of many, because other processes share the machine."""
        best = 1.0
        for _ in range(200):
            started = time.perf_counter()
            text.render(value, limit=10_000)
            best = min(best, time.perf_counter() - started)
        return best


class AlarmTests(SimpleTestCase):
    def test_json_is_walked_with_its_keys(self):
        value = {"ok": ["fine", {"k\u200b": 1}], "x": [["\u202e", "\u202e"]], "n": 1.5, "z": None}
        self.assertEqual(text.alarming(value), ["U+200B ZWSP", "U+202E RLO"])
        self.assertFalse(text.has_alarming({"a": ["b", 1, None, True, "line\nline <b>"]}))

    def test_depth_is_no_way_out(self):
        value = "\u202e"
        for _ in range(100_000):
            value = [value]
        self.assertTrue(text.has_alarming(value))


class UnstorableTests(SimpleTestCase):
    def test_pointers_lead_to_what_no_database_takes(self):
        table = [
            ("fine", []),
            ("\x00", [""]),
            ({"a": {"b": ["ok", "x\x00"]}}, ["/a/b/1"]),
            ({"a/b~c": "\udfff"}, ["/a~1b~0c"]),
            ({"a": {"k\x00": 1}}, ["/a"]),
            ({"k\ud800": {"x": "\x00"}}, ["", "/x"]),
            ({"\u202e": "\x00"}, ["/\u202e"]),
            (["😀", 1, None, {"a": "\ud83d"}], ["/3/a"]),
        ]
        for value, pointers in table:
            with self.subTest(value=ascii(value)):
                self.assertEqual(text.refuse_unstorable(value), pointers)


class IdentifierTests(SimpleTestCase):
    def test_scripts_that_are_not_written_together_are_found(self):
        for value in ("аcme", "pаypal", "acmе-billing", "ａcme", "αdmin", "acme\u13df"):
            with self.subTest(value=value):
                self.assertTrue(text.mixed_scripts(value))
        for value in ("acme-billing", "счёт", "東京タワーABC", "서울abc", "", "42"):
            with self.subTest(value=value):
                self.assertFalse(text.mixed_scripts(value))

    def test_foreign_digits_are_found(self):
        self.assertTrue(text.foreign_digits("IBAN ٣"))
        self.assertFalse(text.foreign_digits("IBAN 3"))

    def test_look_alikes_share_a_skeleton(self):
        for other in (
            "acmе-billing",
            "acme-biIling",
            "аcme-bi11ing",
            "ａcrne-billing",
            "ac\u200bme-billing",
        ):
            with self.subTest(other=ascii(other)):
                self.assertEqual(text.skeleton(other), text.skeleton("acme-billing"))
        self.assertNotEqual(text.skeleton("acme-building"), text.skeleton("acme-billing"))


class FilterTests(SimpleTestCase):
    def show(self, source, value):
        return Template("{% load agent_text %}" + source).render(Context({"value": value}))

    def test_agent_text_is_isolated(self):
        shown = self.show("{{ value|agent_text }}", "<b>\u202e")
        self.assertTrue(shown.startswith('<bdi class="agent-text">&lt;b&gt;<span class="mark'))
        self.assertTrue(shown.endswith("[U+202E RLO]</span></bdi>"))

    def test_agent_text_takes_a_limit(self):
        self.assertIn("… 5 characters", self.show("{{ value|agent_text:2 }}", "abcde"))

    def test_agent_plain_is_escaped_by_the_template(self):
        shown = self.show('<option title="{{ value|agent_plain }}">', '"><b>\u202e\n')
        self.assertEqual(shown, '<option title="&quot;&gt;&lt;b&gt;[U+202E RLO][U+000A LF]">')
