"""How a review page shows values: large changes in parts, labels, moments, and long text."""

import pytest
from django.urls import reverse

from proposals import registry, services
from proposals.console import diff
from proposals.console.personal import moment_of
from proposals.console.portions import Portions
from proposals.models import Preferences, Proposal
from tests.factories import client_for, make_agent, make_checked, make_person, new_key, work
from tests.proposals.test_console import Page, address, signed_in, waiting
from tests.shop_calls import DRAFT
from tests.toys import box

pytestmark = pytest.mark.django_db
TRICK = "\u202e"


def proposed(action="records.update", **params) -> Proposal:
    agent = client_for(make_agent(grants=["records.*"]))
    answer = agent.propose(action=action, params=params, run=new_key())
    assert answer.status_code == 201, answer.content
    work()
    return Proposal.objects.get(pk=answer.json()["id"])


def seen(proposal, query="", person=None) -> Page:
    return Page(signed_in(person).get(address("proposal", proposal, query)))


@pytest.fixture
def orders(shop) -> list[str]:
    return [str(row[0]) for row in shop.rows("SELECT id FROM orders ORDER BY id LIMIT 60")]


def different(shop, orders, count) -> None:
    """Give so many orders each a note of its own, so that they change in as many ways."""
    for number, key in enumerate(orders[:count]):
        shop.execute(f"UPDATE orders SET note = 'own {number}' WHERE id = {key}")


class TestALargeChange:
    @pytest.fixture
    def large(self, shop, orders):
        """Thirty orders that change each in its own way, and thirty in the same."""
        shop.execute("UPDATE orders SET note = 'same'")
        different(shop, orders, 30)
        return proposed(table="shop.orders", keys=orders, set={"note": "Ring twice."})

    def test_says_in_all_how_many_objects_change_and_in_how_many_ways(self, large):
        text = seen(large).text
        assert "60 objects that change in 31 different ways: 60 changed" in text
        assert "ways 1 to 25 of 31 are below" in text

    def test_shows_25_ways_at_a_time_the_odd_ones_first(self, large):
        first, second = seen(large), seen(large, "?part=2")
        assert first.inside("del", "td").count("own ") == 25
        assert "30 objects" not in first.text
        assert second.inside("td").count("own ") == 5
        assert "30 objects, all in the same way" in second.text

    def test_keeps_list_and_view_in_plain_links(self, large):
        page = seen(large, "?list=abc&part=2")
        [back] = [
            one["href"] for one in page.all("a", **{"class": "button"}) if "part=" in one["href"]
        ]
        assert "view=fields&part=1#change" in back
        assert "Part 2 of 2" in page.text

    def test_names_the_first_25_of_many_that_change_alike_and_links_to_the_rest(
        self, large, orders
    ):
        page = seen(large, "?part=2")
        assert "The first 25 of 30 objects" in page.text
        [link] = {one["href"] for one in page.all("a") if "group=" in one.get("href", "")}
        rest = Page(signed_in().get(link.partition("#")[0] + "&part=2"))
        assert "Objects 26 to 30 of the 30 that change in this way." in rest.text
        assert "5 of 30 objects" in rest.text
        assert orders[-1] in rest.inside("p")

    @pytest.mark.parametrize("query", ["?part=0", "?part=-1", "?part=x", "?part=9", "?group=none"])
    def test_survives_an_address_that_makes_no_sense(self, large, query):
        assert "60 objects" in seen(large, query).text

    def test_of_one_way_has_neither_sums_nor_parts(self, shop, orders):
        page = seen(proposed(table="shop.orders", key=orders[0], set={"note": "Ring twice."}))
        assert "different ways" not in page.text
        assert "Part 1" not in page.text


def test_every_object_is_in_one_part_and_no_other():
    before = {str(n): {"a": n if n < 60 else 0} for n in range(80)}
    groups = diff.objects(before, None, {key: {"a": 100} for key in before})
    listed = []
    for number in range(1, 5):
        for group in Portions(groups, {"part": str(number)}, "?").shown:
            listed += group.keys
    assert sorted(set(listed)) == sorted(before)


class TestAField:
    def test_is_called_by_its_label_with_its_name_beside(self, shop, orders):
        page = seen(proposed(table="shop.orders", key=orders[0], set={"status": "refunded"}))
        labels = registry.registry.get("records.update").meanings({"table": "shop.orders"})
        assert labels["status"].label
        assert labels["status"].label in page.inside("th")
        assert "status" in page.inside("th")

    def test_is_called_by_its_name_where_nobody_knows_better(self, toybox):
        assert "colour" in seen(waiting()).inside("th")

    def test_survives_an_action_that_cannot_say_what_its_fields_mean(self, toybox, monkeypatch):
        def fails(self, params):
            raise RuntimeError

        monkeypatch.setattr(registry.Action, "meanings", fails)
        assert "colour" in seen(waiting()).inside("th")


class TestAMoment:
    def test_is_shown_as_stored_and_as_the_reader_reads_it(self, toybox):
        ana = make_person("ana")
        Preferences.objects.create(person=ana, time_zone="Europe/Berlin")
        box.colours["bear"] = "2026-11-22T10:42:07.5Z"
        cells = seen(waiting(), person=ana).inside("td")
        assert "2026-11-22T10:42:07.5Z" in cells
        assert "22 Nov 2026, 11:42 CET (10:42 UTC)" in cells

    def test_is_no_text_that_only_begins_like_one(self):
        for words in (
            "2026-11-22",
            "2026-11-22T10:42:07",
            "2026-13-22T10:42:07Z",
            "at 10",
            7,
            None,
        ):
            assert moment_of(words) is None
        assert moment_of("0001-01-01T00:00:00+14:00") is None
        assert moment_of("2026-11-22t10:42:07z") is not None

    def test_is_not_read_into_a_column_of_text(self, shop, orders):
        moment = "2026-11-22T10:42:07Z"
        page = seen(proposed(table="shop.orders", key=orders[0], set={"note": moment}))
        assert moment in page.inside("td")
        assert not page.all("time", **{"class": "reading"})


class TestLongText:
    @pytest.fixture
    def draft(self, shop):
        body = f"Dear {TRICK}friend\n" + "word " * 500
        return proposed("records.create", table="shop.drafts", values=DRAFT | {"body": body})

    def link(self, page: Page, of: str) -> str:
        [found] = {
            one["href"] for one in page.all("a", **{"class": "whole"}) if f"of={of}&" in one["href"]
        }
        return found

    def test_is_cut_at_2000_characters_with_its_length_and_a_link(self, draft):
        page = seen(draft)
        assert "… 2,513 characters in all" in page.inside("td")
        assert page.inside("td").count("word") < 400
        assert self.link(page, "after")

    def test_is_whole_as_plain_text_with_everything_hidden_made_visible(self, draft):
        answer = signed_in().get(self.link(seen(draft), "after"))
        assert answer["Content-Type"] == "text/plain; charset=utf-8"
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Cache-Control"]
        text = answer.content.decode()
        assert text.startswith("Dear [U+202E RLO]friend\nword word")
        assert text.count("word") == 500
        assert TRICK not in text

    def test_of_both_revisions_is_a_link_away_where_they_are_compared(self, draft):
        services.amend(
            agent=make_agent(),
            proposal_id=draft.pk,
            key=new_key(),
            fingerprint=new_key(),
            changes={
                "params": {
                    "table": "shop.drafts",
                    "values": DRAFT | {"body": f"Dear {TRICK}foe\n" + "text " * 500},
                },
                "rationale": "Better.",
            },
        )
        work()
        page = seen(draft, "?view=since")
        links = {one["href"] for one in page.all("a", **{"class": "whole"})}
        told = {link: signed_in().get(link).content.decode() for link in links}
        assert sum(text.count("text") == 500 for text in told.values()) >= 2, "call and target"
        assert any("of=param&revision=1" in link for link in links)
        assert any("of=param&revision=2" in link for link in links)
        assert all(TRICK not in text for text in told.values())
        assert all(text.count("word") in {0, 500} for text in told.values())

    def test_of_the_call_is_laid_out_as_json(self, draft):
        text = signed_in().get(self.link(seen(draft), "call")).content.decode()
        assert text.startswith('{\n  "action": "records.create"')
        assert TRICK not in text

    def test_of_evidence_is_a_link_away_too(self, toybox):
        long = [{"kind": "document", "title": "Policy", "content": "rule " * 900}]
        proposal = waiting(evidence=long)
        answer = signed_in().get(self.link(seen(proposal), "evidence"))
        assert answer.content.decode() == "rule " * 900

    @pytest.mark.parametrize(
        "query",
        ["", "?of=after", "?of=nothing", "?of=after&check=x", "?of=evidence&revision=1&position=9"],
    )
    def test_that_is_not_there_is_not_found(self, draft, query):
        assert signed_in().get(reverse("whole-text", args=[draft.pk]) + query).status_code == 404

    def test_is_for_whoever_may_open_the_page(self, draft, client, toybox):
        link = self.link(seen(draft), "after")
        assert signed_in(make_person("stranger", groups=[])).get(link).status_code == 403
        assert client.get(link).status_code == 302
        other = make_checked()
        moved = link.replace(str(draft.pk), str(other.pk))
        assert signed_in().get(moved).status_code == 404, "a check of another proposal"
        assert signed_in().post(link).status_code == 405

    def test_that_changes_a_little_is_compared_word_by_word_without_what_stays(self, shop):
        body = "word " * 300
        [key] = shop.rows("SELECT id FROM drafts WHERE archived_at IS NULL LIMIT 1")[0]
        shop.execute(f"UPDATE drafts SET body = '{body}' WHERE id = {key}")
        values = {"table": "shop.drafts", "key": str(key), "set": {"body": body + "end"}}
        page = seen(proposed(**values))
        assert "characters that stay" in page.text
        assert "end" in page.inside("ins")
        assert "Whole text" in page.inside("summary")
