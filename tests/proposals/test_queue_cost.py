"""What opening the queue costs: nothing is asked twice or counted further than is said."""

import pytest
from django.db import connection
from django.forms import Select
from django.test.html import parse_html
from django.test.utils import CaptureQueriesContext

from proposals.console import lists
from proposals.console.forms import QueueFilters
from tests import factories
from tests.factories import make_person, work
from tests.proposals.test_console import senior, signed_in, waiting
from tests.proposals.test_lists import ids, listed, opened
from tests.toys import box

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]


class TestFilters:
    def test_are_written_as_django_writes_them(self):
        factories.make_agent()
        form = QueueFilters({"tier": "high", "agent": "billing-bot", "action": "<&>"})
        form.fields["due"].choices = [("<a>", "<b>&"), ("", "Any")]
        for field in ("tier", "action", "agent", "checks", "marked", "due"):
            ours = str(form[field])
            form.fields[field].widget.__class__ = Select
            assert parse_html(ours) == parse_html(str(form[field]))


class TestCounting:
    def test_all_lists_at_once_is_the_same_as_each_alone(self):
        rita, saul = make_person(), senior()
        waiting(params={"note": 1}), waiting("high"), waiting(params={"note": 2})
        failed = waiting(params={"toy": "duck"})
        box.failing["apply"] = "refused"
        factories.approve(failed)
        work()
        for person in (rita, saul, make_person("olga", groups=["operators"])):
            known = {name: len(lists.items(name, person)) for name in (*lists.TABS, "unknown")}
            with CaptureQueriesContext(connection) as captured:
                together = lists.count_all(known, fresh_person(person))
            assert together == known
            assert len([one for one in captured if "COUNT" in one["sql"]]) == 1

    def test_stops_where_it_is_no_longer_said(self, monkeypatch):
        monkeypatch.setattr(lists, "MOST_COUNTED", 2)
        for number in range(4):
            waiting(params={"note": number})
        for tab in ("waiting", "open"):
            assert lists.count(tab, fresh_person(make_person())) == "2+"
        assert lists.count_all(["open"], fresh_person(make_person())) == {"open": 3}

    def test_asks_nothing_twice_in_a_request(self, django_assert_num_queries):
        person = make_person()
        lists.count_all(lists.TABS, person)
        with django_assert_num_queries(0):
            lists.count_all(lists.TABS, person)
            assert lists.count("waiting", person) == "0"

    def test_what_was_just_read_is_not_counted_but_what_filters_left_out_is(self):
        waiting(params={"note": 1}), waiting("high")
        browser = signed_in(senior())
        for query, total in (("", 2), ("?tab=waiting&tier=high", 1)):
            page, _ = opened(browser, query)
            assert len(listed(page)) == total
            [count] = [text for above, text in page.texts if counts_waiting(above)]
            assert count == "2"


def counts_waiting(above) -> bool:
    return any(
        one.get("data-count") == "waiting" and one.get("class") == "count" for _, one in above
    )


def fresh_person(person):
    """As another request finds them: nothing was counted for them yet."""
    return type(person).objects.get(pk=person.pk)


class TestTheOrder:
    def test_is_read_only_in_the_tier_that_was_asked_for_and_that_this_person_decides(self):
        high, medium = waiting("high"), waiting()
        for person, query, expected, tiers in (
            (senior(), "", [high, medium], 3),
            (senior(), "?tab=waiting&tier=medium", [medium], 1),
            (make_person(), "", [medium], 2),
            (make_person(), "?tab=waiting&tier=high", [], 0),
        ):
            browser = signed_in(person)
            with CaptureQueriesContext(connection) as captured:
                page, _ = opened(browser, query)
            assert listed(page) == ids(*expected)
            ordered = [one for one in captured if '"created_at" ASC' in one["sql"]]
            assert len(ordered) == tiers
