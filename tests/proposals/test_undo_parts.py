"""The undo page of a large write: 25 ways at a time, and ticks that are of all objects."""

import pytest

from tests.factories import approve, fresh, make_person, work
from tests.proposals.test_console import HTMX, Page, address, senior, signed_in
from tests.proposals.test_partial_undo import LEFT, changed, meddle
from tests.proposals.test_values import different, orders, proposed

pytestmark = pytest.mark.django_db
REASON = "Asked for in writing, letter 12."
__all__ = ["orders"]  # a fixture


@pytest.fixture
def large(shop, orders):
    """A write after which thirty orders go back each in its own way, and thirty alike."""
    shop.execute("UPDATE orders SET note = 'same'")
    different(shop, orders, 30)
    written = proposed(table="shop.orders", keys=orders, set={"note": LEFT})
    for name in ("saul", "sara"):  # so many objects are of high tier
        approve(written, reviewer=senior(name), reason=REASON, fact="60")
    work()
    return fresh(written)


@pytest.fixture
def browser():
    return signed_in(make_person("olga", groups=["operators"]))


def part(browser, proposal, query="", **more) -> Page:
    return Page(browser.get(address("undo", proposal, query), **more))


def test_shows_25_ways_at_a_time_the_odd_ones_first(large, browser):
    first, second = part(browser, large), part(browser, large, "?part=2")
    assert "60 objects that change in 31 different ways: 60 changed" in first.text
    assert "ways 1 to 25 of 31 are below" in first.text
    assert first.inside("td").count("own ") == 2 * 25
    assert second.inside("td").count("own ") == 2 * 5
    assert "30 objects, all in the same way" in second.text


def test_ticks_are_of_all_objects_whichever_part_is_shown(large, browser, orders):
    for query in ("", "?part=2", "?part=9", "?part=x"):
        page = part(browser, large, query)
        ticks = page.all("input", name="objects")
        assert [one["value"] for one in ticks] == orders[::-1]
        assert all("checked" in one for one in ticks)
        assert "The ticks below are of all objects" in page.text


def test_a_link_to_another_part_replaces_the_change_and_no_tick(large, browser):
    [link] = [one for one in part(browser, large).all("a", **{"class": "button"})]
    assert link["hx-target"] == "#change"
    assert link["hx-push-url"] == "false"
    answer = browser.get(link["hx-get"], headers=HTMX | {"HX-Target": "change"})
    page = Page(answer)
    assert page.elements[0] == ("section", {"id": "change", "aria-labelledby": "undo-change-title"})
    assert "Part 2 of 2" in page.text
    assert not page.all("input")


def test_says_what_becomes_of_ticks_without_script(large, browser, shop, orders):
    assert "ticks and reason are then as at first" in part(browser, large).inside("noscript")


def test_a_refusal_keeps_ticks_of_objects_in_every_part(large, browser, orders):
    data = {"reason": " ", "divided": "1", "objects": [orders[0], orders[-1]]}
    page = Page(browser.post(address("undo", large), data))
    ticked = [one["value"] for one in page.all("input", name="objects") if "checked" in one]
    assert ticked == [orders[-1], orders[0]]


def test_what_somebody_changed_since_is_in_the_first_part(large, browser, orders):
    meddle(orders[-1])
    assert "Mind the dog." in part(browser, large).inside("td")


def test_proposes_the_ticked_of_another_part(large, browser, shop, orders):
    data = {"reason": "A mix-up.", "divided": "1", "objects": [orders[-1]]}
    browser.post(address("undo", large, "?part=1"), data)
    work()
    assert changed(shop, orders) == orders[:-1]


def test_all_of_a_long_value_is_a_link_away(shop, browser):
    body = "word " * 600
    [key] = shop.rows("SELECT id FROM drafts WHERE archived_at IS NULL LIMIT 1")[0]
    shop.execute(f"UPDATE drafts SET body = '{body}' WHERE id = {key}")
    written = proposed(table="shop.drafts", key=str(key), set={"body": "Short."})
    page = part(browser, written)
    links = {one["href"] for one in page.all("a", **{"class": "whole"})}
    assert {link.partition("of=")[2].partition("&")[0] for link in links} == {
        "undo-before",
        "undo-after",
    }
    for link in links:
        assert browser.get(link).content.decode() == body
    stranger = signed_in(make_person("stranger", groups=[]))
    assert {stranger.get(link).status_code for link in links} == {403}


def test_all_of_a_value_is_not_found_where_there_is_nothing_to_undo(shop, browser, orders):
    waiting = proposed(table="shop.orders", key=orders[0], set={"status": "refunded"})
    for side in ("before", "live", "after"):
        query = f"?of=undo-{side}&object={orders[0]}&field=status"
        assert browser.get(address("whole-text", waiting, query)).status_code == 404
