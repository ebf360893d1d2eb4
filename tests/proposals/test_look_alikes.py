"""Names that could be taken for others are marked where a person decides on them."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from proposals.console import look_alikes
from proposals.models import Proposal
from tests.factories import make_agent, make_checked, make_person, painting
from tests.proposals.test_console import Page, address, signed_in

pytestmark = [pytest.mark.django_db, pytest.mark.once, pytest.mark.usefixtures("toybox")]

CYRILLIC_A = "\N{CYRILLIC SMALL LETTER A}"


def waiting(note: object = None, colour: str = "blue", **more: object) -> Proposal:
    """A proposal with names among its parameters."""
    return make_checked(params=painting(colour, tier="medium", note=note), **more)


def review_page(proposal: Proposal) -> Page:
    senior = make_person("saul", groups=["reviewers", "senior-reviewers"])
    return Page(signed_in(senior).get(address("proposal", proposal)))


class TestAName:
    def test_that_mixes_scripts_is_marked_in_the_notice_and_beside_its_value(self):
        page = review_page(waiting(colour=f"bl{CYRILLIC_A}ck"))
        assert "Look-alikes." in page.text
        assert f"params/colour: bl{CYRILLIC_A}ck mixes scripts" in page.text
        assert "mixes scripts" in page.inside("td")

    def test_with_digits_of_another_script_is_marked(self):
        page = review_page(waiting(note={"account": "DE٤٢"}))
        assert "params/note/account: DE٤٢ digits of another script" in page.text

    @pytest.mark.parametrize("name", ["acme-biIling", "acme-bi1ling", "acrne-billing"])
    def test_that_looks_like_an_agent_is_marked_with_the_one_it_is_not(self, name):
        make_agent("acme-billing")
        page = review_page(waiting(note=[name]))
        assert f"params/note/0: {name} looks like acme-billing, is not" in page.text

    def test_that_looks_like_an_earlier_run_of_the_agent_is_marked_beside_it(self):
        waiting(run="nightly-close")
        page = review_page(waiting(run="nightIy-close"))
        assert "the run: nightIy-close looks like nightly-close, is not" in page.text
        assert "looks like nightly-close , is not" in page.inside("dd").replace("  ", " ")

    def test_that_looks_like_an_object_of_the_agent_is_marked(self):
        waiting()
        page = review_page(waiting(note=["toys/6ear", "t0ys", "be\u200bar"]))
        assert "params/note/1: t0ys looks like toys, is not" in page.text
        assert "params/note/2: be[U+200B ZWSP]ar looks like bear, is not" in page.text

    def test_hides_in_no_key_either(self):
        make_agent("acme-billing")
        page = review_page(waiting(note={"acme-biIling": True}))
        assert "params/note: acme-biIling looks like acme-billing, is not" in page.text


class TestNoMark:
    @pytest.mark.parametrize(
        "note",
        [
            "acme-billing",  # the very name
            "Acme-Billing",  # case alone
            "acme-building",
            "shipped",
            "счёт",  # one script
            "shop/счёт",  # one script in each part of an object's name
            "東京タワーABC",  # written together
            "The acme-biIling of a sentence is no name",
            42,
        ],
    )
    def test_is_given_to_a_plain_value(self, note):
        make_agent("acme-billing")
        waiting()
        page = review_page(waiting(note=note))
        assert "Look-alikes" not in page.text
        assert "looks like" not in page.text

    def test_is_given_to_the_honest_name_after_the_false_one_was_used(self):
        waiting(run=f"acme-b{CYRILLIC_A}se")
        assert "looks like" not in review_page(waiting(run="acme-base")).text

    def test_is_given_for_names_of_other_agents(self):
        waiting(run="nightly-close", agent=make_agent("other-bot"))
        assert "looks like" not in review_page(waiting(run="nightIy-close")).text

    def test_is_given_for_two_letters_that_could_be_a_number(self):
        waiting(run="11")
        assert "looks like" not in review_page(waiting(note="IL")).text


class TestTheNotice:
    def test_lists_ten_and_counts_the_others(self):
        page = review_page(waiting(note=[f"{CYRILLIC_A}b{number}" for number in range(14)]))
        assert f"params/note/9: {CYRILLIC_A}b9 mixes scripts" in page.text
        assert f"params/note/10: {CYRILLIC_A}b10" not in page.text
        assert "and 4 more." in page.text

    def test_keeps_every_name_in_a_frame(self):
        make_agent("acme-billing")
        page = review_page(waiting(note=["acme-biIling"], run="acme-bi1ling"))
        found = [above for above, text in page.texts if "acme-bi" in text]
        assert len(found) >= 5
        assert all(("bdi", {"class": "agent-text"}) in above for above in found)

    def test_takes_one_statement_however_many_names_are_known(self):
        counts = []
        for rows in (1, 6):
            for number in range(rows):
                make_agent(f"bot-{rows}-{number}")
                last = waiting(run=f"run-{rows}-{number}", note=[f"name-{number}"])
            revision = last.revision()
            assert last.run
            with CaptureQueriesContext(connection) as captured:
                look_alikes.LookAlikes(last, revision)
            counts.append(len(captured))
        assert counts == [1, 1]

    def test_knows_the_newest_names_only(self, monkeypatch):
        monkeypatch.setattr(look_alikes, "NEWEST", 2)
        waiting(run="nightly-close")
        assert "looks like" in review_page(waiting(run="nightIy-close")).text
        waiting(run="another")
        waiting(run="and-another")
        assert "looks like" not in review_page(waiting(run="nightIy-close")).text
