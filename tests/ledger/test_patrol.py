"""The clock goes round all that is sealed, and lists say what it found altered."""

import logging
import re
from unittest import mock

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse

from ledger import entries, patrol, sealer, storage_guards
from ledger.models import Broken, Facet, Leaf, LedgerEntry, Walk

pytestmark = pytest.mark.django_db
LIST = reverse("admin:ledger_ledgerentry_changelist")


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    settings.DATA_DIR = tmp_path


@pytest.fixture
def alma():
    user = User.objects.create_user("alma", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_ledgerentry"))
    browser = Client()
    with mock.patch("django.contrib.auth.signals.user_logged_in.send"):
        browser.force_login(user)
    return browser


@pytest.fixture
def sealed():
    with transaction.atomic():
        found = [
            entries.record("policy", kind="a.b", actor="user:1", body={"reason": f"ticket {n}"})
            for n in range(12)
        ]
    sealer.seal()
    return found


def alter(sql, params=()):
    with storage_guards.lifted(connection), connection.cursor() as cursor:
        cursor.execute(sql, params)


def set_column(entry, column, value):
    sql = f"UPDATE ledger_ledgerentry SET {column} = %s WHERE id = %s"
    alter(sql, [value, entry.pk])


def broken():
    return dict(Broken.objects.values_list("pk", "why"))


def states(page):
    found = re.findall(r'field-id"><a href="[^"]*/(\d+)/change/.*?class="chain-\w+">([^<]+)<', page)
    return {int(pk): state for pk, state in found}


class TestTheRound:
    def test_finds_nothing_in_a_ledger_that_nobody_altered(self, sealed):
        assert patrol.step() == Leaf.objects.count()
        assert broken() == {}
        assert Walk.objects.get(name="patrol").ended_at

    @pytest.mark.parametrize(
        ("column", "value", "why"),
        [
            ("hash", b"x" * 32, "its hash is not that of its bytes"),
            ("canonical", b"{}", "its bytes"),
            ("actor", "user:2", "column actor does not say what its bytes say"),
        ],
    )
    def test_finds_what_was_altered_and_says_what(self, sealed, caplog, column, value, why):
        set_column(sealed[3], column, value)
        with caplog.at_level(logging.ERROR, logger="ledger.patrol"):
            patrol.step()
        assert list(broken()) == [sealed[3].pk]
        assert why in broken()[sealed[3].pk]
        assert f"Entry {sealed[3].pk} of the ledger was altered" in caplog.text

    def test_finds_one_whose_bytes_and_hash_were_altered_together(self, sealed):
        other = sealed[4]
        data = bytes(other.canonical).replace(b"ticket 4", b"ticket 9")
        set_column(other, "canonical", data)
        set_column(other, "hash", patrol.chain.entry_hash(data))
        patrol.step()
        assert "it is not what was sealed as leaf" in broken()[other.pk]

    def test_finds_one_that_is_gone(self, sealed):
        alter("DELETE FROM ledger_ledgerentry WHERE id = %s", [sealed[-1].pk])
        patrol.step()
        assert broken() == {sealed[-1].pk: patrol.GONE}

    @pytest.mark.skipif("connection.vendor != 'sqlite'", reason="only SQLite keeps any value")
    def test_one_that_cannot_be_read_hides_no_other(self, sealed):
        set_column(sealed[2], "at", "soon")
        set_column(sealed[7], "hash", b"x" * 32)
        patrol.step()
        assert set(broken()) == {sealed[2].pk, sealed[7].pk}

    def test_goes_on_where_it_stopped_and_begins_anew_after_the_last(self, sealed):
        set_column(sealed[0], "hash", b"x" * 32)
        set_column(sealed[-1], "hash", b"y" * 32)
        size = Leaf.objects.count()
        steps = [patrol.step(limit=5) for _ in range(3)]
        assert steps == [5, 5, size - 10]
        assert len(broken()) == 2
        assert Walk.objects.get(name="patrol").position == 0
        assert patrol.step(limit=5) == 5

    def test_what_holds_again_is_no_longer_broken(self, sealed):
        set_column(sealed[5], "kind", "b.c")
        patrol.step()
        assert len(broken()) == 1
        set_column(sealed[5], "kind", "a.b")
        patrol.step()
        assert broken() == {}

    def test_the_clock_goes_round(self, sealed):
        set_column(sealed[5], "kind", "b.c")
        call_command("clock", "--once")
        assert list(broken()) == [sealed[5].pk]

    def test_a_pass_of_the_clock_checks_only_every_few_seconds(self, sealed):
        clocks = patrol.Patrol()
        with mock.patch.object(patrol, "step") as step:
            clocks.run()
            clocks.run()
        assert step.call_count == 1


class TestTheList:
    def test_filters_by_what_is_broken_and_shows_it_in_its_column(self, alma, sealed):
        set_column(sealed[3], "canonical", b"{}")
        patrol.step()
        answer = alma.get(LIST, {"flag": "broken"})
        assert [entry.pk for entry in answer.context["cl"].result_list] == [sealed[3].pk]
        assert states(alma.get(LIST).content.decode())[sealed[3].pk] == "broken"
        assert set(states(alma.get(LIST).content.decode()).values()) == {"broken", "ok"}
        assert "Flag: chain broken" in answer.content.decode()

    def test_combines_with_the_other_filters(self, alma, sealed):
        set_column(sealed[3], "canonical", b"{}")
        patrol.step()
        for query, found in (({"event": "proposal.failed"}, 0), ({"actor": "user:1"}, 1)):
            answer = alma.get(LIST, {"flag": "broken"} | query)
            assert len(answer.context["cl"].result_list) == found

    def test_says_on_every_page_that_something_is_broken(self, alma, sealed):
        assert "not what was sealed" not in alma.get(LIST).content.decode()
        set_column(sealed[3], "hash", b"x" * 32)
        patrol.step()
        page = alma.get(LIST, {"tier": "low"}).content.decode()
        assert "1 entry of the ledger is not what was sealed." in page
        assert 'href="?flag=broken&amp;at=all"' in page

    def test_says_how_far_the_clock_has_come_so_that_nothing_is_not_taken_for_intact(
        self, alma, sealed
    ):
        told = alma.get(LIST, {"flag": "broken"}).content.decode()
        assert "The clock has not begun to check sealed entries." in told
        patrol.step(limit=5)
        told = alma.get(LIST, {"flag": "broken"}).content.decode()
        assert f"This round is at 5 of {Leaf.objects.count()}." in told
        patrol.step()
        told = alma.get(LIST, {"flag": "broken"}).content.decode()
        assert "The last whole round ended at" in told

    def test_the_page_of_an_entry_checks_its_bytes_at_once(self, alma, sealed):
        """Before the clock has come to it, too."""
        set_column(sealed[3], "actor", "user:2")
        url = reverse("admin:ledger_ledgerentry_change", args=[sealed[3].pk])
        assert '<span class="chain-broken">broken</span>' in alma.get(url).content.decode()
        url = reverse("admin:ledger_ledgerentry_change", args=[sealed[4].pk])
        assert '<span class="chain-ok">ok</span>' in alma.get(url).content.decode()


def test_an_entry_without_an_index_is_counted_as_broken_and_breaks_no_list(alma, sealed):
    set_column(sealed[3], "hash", b"x" * 32)
    Facet.objects.filter(entry=sealed[3]).delete()
    patrol.step()
    answer = alma.get(LIST, {"flag": "broken"})
    assert not answer.context["cl"].result_list
    assert "1 entry of the ledger is not what was sealed." in answer.content.decode()
    assert LedgerEntry.objects.filter(pk=sealed[3].pk).exists()
