"""The auditor's list: read-only, honest about what it shows, and cheap at any size."""

import html
import re
import uuid
from datetime import UTC, datetime, timedelta
from itertools import chain
from unittest import mock
from urllib.parse import parse_qsl

from django.contrib.auth.models import Permission, User
from django.contrib.auth.signals import user_logged_in
from django.db import connection, transaction
from django.test import TestCase
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ledger import entries
from ledger.admin import LedgerEntryAdmin
from ledger.finding import HINT
from ledger.models import LedgerEntry
from ledger.readonly_admin import CappedCount, CappedPaginator
from ledger.visible import visible

LIST = reverse("admin:ledger_ledgerentry_changelist")
START = datetime(2026, 11, 1, tzinfo=UTC)


def make_entries(count, stream="policy", **facts):
    facts = {"kind": "policy.changed", "actor": "user:1"} | facts
    with transaction.atomic():
        return [
            entries.record(stream, **facts, at=START + timedelta(hours=n)) for n in range(count)
        ]


class AdminTestCase(TestCase):
    def setUp(self):
        self.auditor = User.objects.create_user("alma", is_staff=True)
        self.auditor.user_permissions.add(Permission.objects.get(codename="view_ledgerentry"))
        with mock.patch.object(user_logged_in, "send"):  # which would be the first entry
            self.client.force_login(self.auditor)

    def page(self, **query):
        """The list over all time, unless a test asks for another window."""
        answer = self.client.get(LIST, {"at": "all"} | query)
        self.assertEqual(answer.status_code, 200)
        return answer

    def ids(self, answer):
        return [entry.pk for entry in answer.context["cl"].result_list]


class DoorTests(AdminTestCase):
    def setUp(self):
        super().setUp()
        (self.entry,) = make_entries(1)
        self.detail = reverse("admin:ledger_ledgerentry_change", args=[self.entry.pk])

    def test_all_four_doors_are_shut_even_for_a_superuser(self):
        User.objects.filter(pk=self.auditor.pk).update(is_superuser=True)
        add = reverse("admin:ledger_ledgerentry_add")
        delete = reverse("admin:ledger_ledgerentry_delete", args=[self.entry.pk])
        bulk = {"action": "delete_selected", "_selected_action": [self.entry.pk], "post": "yes"}
        for url, data in ((add, {}), (self.detail, {"kind": "x"}), (delete, {"post": "yes"})):
            with self.subTest(url):
                self.assertEqual(self.client.post(url, data).status_code, 403)
        self.client.post(LIST, bulk)
        self.assertEqual(self.client.get(add).status_code, 403)
        self.assertEqual(LedgerEntry.objects.get().kind, "policy.changed")
        self.assertNotContains(self.page(), '<select name="action"')

    def test_only_rights_to_view_and_to_export_exist(self):
        rights = Permission.objects.filter(content_type__app_label="ledger")
        self.assertEqual(
            {right.codename for right in rights},
            {"view_ledgerentry", "view_checkpoint", "view_access", "export_ledger"},
        )

    def test_without_the_right_nothing_is_shown(self):
        self.auditor.user_permissions.clear()
        for url in (LIST, self.detail):
            with self.subTest(url):
                self.assertEqual(self.client.get(url).status_code, 403)

    def test_a_row_leads_to_the_story_of_its_proposal(self):
        found = str(uuid.uuid4())
        make_entries(1, proposal=found)
        make_entries(1, stream="other", proposal="none/../such")
        page = self.page()
        self.assertContains(page, f'href="{reverse("explain", args=[found])}"', count=1)
        self.assertContains(page, "none/../such")
        self.assertNotContains(page, 'href="none')

    def test_pages_hold_no_inline_style_or_script(self):
        for url in (LIST, self.detail):
            page = self.client.get(url).content.decode()
            self.assertNotRegex(page, r"<style|<script>|style=\"|\son\w+=\"")


class PageTests(AdminTestCase):
    def setUp(self):
        super().setUp()
        self.entries = make_entries(7)
        self.newest = [entry.pk for entry in reversed(self.entries)]
        size = mock.patch.object(LedgerEntryAdmin, "list_per_page", 3)
        size.start()
        self.addCleanup(size.stop)

    def walk(self, link, **query):
        pages, answer = [], self.page(**query)
        while True:
            pages.append(self.ids(answer))
            url = getattr(answer.context["cl"], f"{link}_link")
            if not url:
                return pages, answer
            answer = self.client.get(LIST + url)

    def test_older_and_newer_reach_every_entry_once(self):
        pages, last = self.walk("older")
        self.assertEqual(pages, [self.newest[:3], self.newest[3:6], self.newest[6:]])
        back, _ = self.walk("newer", **last.wsgi_request.GET.dict())
        self.assertEqual(back, [self.newest[6:], self.newest[3:6], self.newest[:3]])

    def test_a_window_is_walked_by_time(self):
        """Entries may commit out of the order of their times."""
        with transaction.atomic():
            late = entries.record("auth", kind="a.b", actor="user:1", at=START)
        pages, last = self.walk("older", at_from="2026-11-01")
        self.assertEqual(list(chain(*pages)), [*self.newest[:6], late.pk, self.newest[6]])
        back, _ = self.walk("newer", **last.wsgi_request.GET.dict())
        self.assertEqual(list(chain(*reversed(back))), list(chain(*pages)))

    def test_filters_stay_while_paging(self):
        answer = self.page(q="kind:policy.changed", at_to="2026-11-01 05:00")
        self.assertEqual(self.ids(answer), self.newest[2:5])
        older = self.client.get(LIST + answer.context["cl"].older_link)
        self.assertEqual(self.ids(older), self.newest[5:])

    def test_a_row_leads_to_its_entry_with_the_filters_to_come_back_to(self):
        page = self.page(kind="policy.changed").content.decode()
        rows = re.findall(r'<th class="field-id"><a href="([^"]+)">(\d+)</a>', page)
        self.assertTrue(rows)
        for address, pk in rows:
            path, _, query = html.unescape(address).partition("?")
            self.assertEqual(path, reverse("admin:ledger_ledgerentry_change", args=[pk]))
            kept = dict(parse_qsl(dict(parse_qsl(query))["_changelist_filters"]))
            self.assertEqual(kept, {"at": "all", "kind": "policy.changed"})

    def test_a_boundary_that_does_not_exist_shows_the_newest(self):
        for key in ("x", "999999", "-1", "9" * 40):
            with self.subTest(key):
                self.assertEqual(self.ids(self.page(older=key)), self.newest[:3])

    def test_no_statement_counts_all_skips_rows_or_reads_bodies(self):
        query = {"older": self.newest[2], "q": "kind:policy.changed", "at_from": "2026-11-01"}
        with CaptureQueriesContext(connection) as queries:
            self.page(**query)
        asked = [query["sql"] for query in queries if "ledger_ledgerentry" in query["sql"]]
        self.assertGreaterEqual(len(asked), 2)
        for sql in asked:
            self.assertNotRegex(sql, r"OFFSET|DISTINCT|LIKE|UPPER")
            self.assertRegex(sql, r"LIMIT \d")
        lists = [sql for sql in asked if "LIMIT 4" in sql]
        self.assertEqual(len(lists), 1)
        self.assertNotIn("canonical", lists[0])

    def test_the_count_is_capped_and_says_so(self):
        self.assertContains(self.page(), "7 ledger entries")
        with mock.patch("ledger.readonly_admin.COUNT_CAP", 5):
            self.assertContains(self.page(), "5+ ledger entries")
            self.assertContains(self.page(q="actor:user:1"), "5+ ledger entries")

    def test_the_paginator_stops_at_the_cap(self):
        with mock.patch("ledger.readonly_admin.COUNT_CAP", 5):
            pages = CappedPaginator(LedgerEntry.objects.order_by("-id"), 2)
            self.assertEqual((pages.num_pages, str(pages.count)), (3, "5+"))
        self.assertEqual(CappedPaginator(LedgerEntry.objects.none(), 2).num_pages, 1)
        self.assertEqual((str(CappedCount(1000)), str(CappedCount(1001))), ("1,000", "1,000+"))


class SearchTests(AdminTestCase):
    def setUp(self):
        super().setUp()
        self.proposal, self.agent = str(uuid.uuid4()), str(uuid.uuid4())
        (self.found,) = make_entries(
            1,
            f"proposal:{self.proposal}",
            kind="proposal.submitted",
            actor=f"agent:{self.agent}",
            proposal=self.proposal,
            agent=self.agent,
            run="run 7",
            object="orders/42",
        )
        (self.other,) = make_entries(1)

    def test_prefixes_and_shapes_find_exactly(self):
        for term in (
            f"{self.found.pk}",
            f"entry:{self.found.pk}",
            self.proposal,
            self.proposal.upper(),
            self.agent,
            f"proposal:{self.proposal}",
            f"agent:{self.agent}",
            f"actor:agent:{self.agent}",
            "kind: proposal.submitted",
            "Object:orders/42",
            "run:run 7",
            f"stream:proposal:{self.proposal}",
        ):
            with self.subTest(term):
                self.assertEqual(self.ids(self.page(q=term)), [self.found.pk])
        self.assertEqual(self.ids(self.page(q="user:1")), [self.other.pk])

    def test_parts_of_a_value_find_nothing(self):
        for term in ("kind:proposal", "object:orders", "run:run", "entry:0", "object:ORDERS/42"):
            with self.subTest(term):
                self.assertEqual(self.ids(self.page(q=term)), [])

    def test_other_terms_give_a_hint_instead_of_a_scan(self):
        for term in ("refund", "run:", "entry:x", "9" * 30, "what: ever", "%"):
            with self.subTest(term), CaptureQueriesContext(connection) as queries:
                answer = self.page(q=term)
                self.assertEqual(self.ids(answer), [])
                self.assertIn(HINT, [str(message) for message in answer.context["messages"]])
            self.assertFalse([q for q in queries if 'FROM "ledger_ledgerentry"' in q["sql"]])

    def test_a_time_that_is_none_is_said(self):
        for text in ("soon", "2026-13-01", "2026-11-22 25:00"):
            with self.subTest(text):
                answer = self.page(at_from=text)
                self.assertEqual(self.ids(answer), [])
                self.assertContains(answer, "A time looks like")

    def test_times_are_utc_and_the_end_is_left_out(self):
        make_entries(3, "auth")
        answer = self.page(at_from="2026-11-01 01:00", at_to="2026-11-01T02:00")
        self.assertEqual([entry.at.hour for entry in answer.context["cl"].result_list], [1])
        east = self.page(at_from="2026-11-01T03:00+02:00", at_to="2026-11-01T04:00+02:00")
        self.assertEqual(self.ids(east), self.ids(answer))
        self.assertContains(answer, "2026-11-01 01:00:00.000 UTC")


class DetailTests(AdminTestCase):
    def detail(self, entry):
        return self.client.get(reverse("admin:ledger_ledgerentry_change", args=[entry.pk]))

    def test_entry_shows_body_bytes_hashes_and_neighbours(self):
        first, second, third = make_entries(3, body={"amount": "120.00"})
        answer = self.detail(second)
        self.assertContains(answer, "&quot;amount&quot;: &quot;120.00&quot;")
        self.assertContains(answer, "{&quot;actor&quot;:&quot;user:1&quot;,")
        self.assertContains(answer, second.hash.hex())
        self.assertContains(answer, first.hash.hex())
        for pk, word in ((first.pk, "previous"), (third.pk, "next")):
            url = reverse("admin:ledger_ledgerentry_change", args=[pk])
            self.assertContains(answer, f'<a href="{url}">{word}: {pk}</a>')

    def test_what_an_agent_named_is_escaped_and_made_visible(self):
        hidden = "\u202e\u200b\U000e0041\u3164\ufe0f\u2028"
        text = f"<b>run{hidden}"
        (entry,) = make_entries(
            1, run=text, object=text, actor_name=text, body={"run": text, text: [text]}
        )
        for answer in (self.page(), self.detail(entry)):
            page = answer.content.decode()
            self.assertFalse(set(hidden) & set(page))
            self.assertIn("&lt;b&gt;run\\u202e\\u200b\\U000e0041\\u3164\\ufe0f\\u2028", page)
            self.assertNotIn("<b>run", page)
        titles = re.findall(r"<title>.*?</title>|<h[12].*?</h[12]>", page, re.S)
        self.assertNotIn("b&gt;run", " ".join(titles))

    def test_visible_keeps_what_can_be_seen(self):
        self.assertEqual(visible("né 漢 \\ 1€"), "né 漢 \\ 1€")
        self.assertEqual(visible("a\r\n\ud800", keep="\n"), "a\\r\n\\ud800")
