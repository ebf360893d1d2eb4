"""The pages of second thoughts: taking one's own decision back, and proposing other values."""

import pytest

from ledger.models import LedgerEntry
from proposals import execution
from proposals.console import param_fields
from proposals.models import Execution, Review, Rule
from tests import factories
from tests.factories import approve, fresh, make_person, make_proposal, painting, review, work
from tests.proposals.test_console import Page, address, senior, signed_in, waiting
from tests.toys import box

pytestmark = [pytest.mark.django_db, pytest.mark.once, pytest.mark.usefixtures("toybox")]
RLO = "\u202e"


def withdrawal(proposal, **more):
    return {"digest": fresh(proposal).current_check.digest, "list": "tab=mine", **more}


def values(proposal, **more):
    """What the form sends when only the colour is another."""
    return {
        "digest": fresh(proposal).current_check.digest,
        "list": "tab=waiting",
        "value.toy": "bear",
        "value.colour": "green",
        "value.tier": proposal.tier,
        "value.for_good": "",
        "value.note": "",
        "reason": "Green was agreed.",
        **more,
    }


class TestWithdrawingMyDecision:
    def send(self, browser, proposal, **more):
        return browser.post(address("withdraw-decision", proposal), withdrawal(proposal, **more))

    def test_is_a_plain_form_where_my_decision_stands_and_leads_back_with_a_status_line(self):
        proposal = waiting("high")
        approve(proposal, reviewer=senior(), fact="bear")
        browser = signed_in(senior())
        page = Page(browser.get(address("proposal", proposal, "?tab=mine")))
        assert page.all("form", action=address("withdraw-decision", proposal), method="post")
        assert "You approved this" in page.text
        answer = self.send(browser, proposal, reason="I misread it.")
        assert answer.status_code == 302
        assert answer["Location"] == address("proposal", proposal, "?tab=mine")
        page = Page(browser.get(answer["Location"]))
        assert "Your decision was withdrawn" in page.text
        assert "took their approval back" in page.text
        assert "I misread it." in page.text
        assert not page.all("form", action=address("withdraw-decision", proposal))

    def test_is_offered_to_nobody_else(self):
        proposal = waiting("high")
        approve(proposal, reviewer=senior(), fact="bear")
        page = Page(signed_in(senior("sara")).get(address("proposal", proposal)))
        assert not page.all("form", action=address("withdraw-decision", proposal))
        answer = self.send(signed_in(senior("sara")), proposal)
        assert answer.status_code == 409
        assert "You have no decision on this" in Page(answer).text
        assert Review.objects.count() == 1

    def test_is_offered_for_what_is_approved_until_a_worker_has_begun(self):
        proposal = waiting()
        approve(proposal)
        browser = signed_in()
        page = Page(browser.get(address("proposal", proposal)))
        assert page.all("form", action=address("withdraw-decision", proposal))
        execution.take(Execution.objects.get().pk)
        page = Page(browser.get(address("proposal", proposal)))
        assert not page.all("form", action=address("withdraw-decision", proposal))
        assert "A worker has begun" in page.text
        answer = self.send(browser, proposal)
        assert answer.status_code == 409
        assert "already claimed" in Page(answer).text

    def test_is_offered_for_my_wish_for_changes(self):
        proposal = waiting()
        review(proposal, "request_changes")
        browser = signed_in()
        page = Page(browser.get(address("proposal", proposal)))
        assert "You requested changes" in page.text
        assert self.send(browser, proposal).status_code == 302
        assert fresh(proposal).status == "submitted"

    def test_leaves_the_wish_of_somebody_else_and_says_so(self):
        proposal = waiting("high")
        approve(proposal, reviewer=senior(), fact="bear")
        review(proposal, "request_changes", reviewer=senior("sara"))
        browser = signed_in(senior())
        assert (
            "somebody else wishes changed"
            in browser.get(address("proposal", proposal)).content.decode()
        )
        page = Page(browser.get(self.send(browser, proposal)["Location"]))
        assert "still stands" in page.text
        assert fresh(proposal).status == "changes_requested"

    def test_says_that_a_rejection_is_final(self):
        proposal = waiting()
        review(proposal, "reject")
        page = Page(signed_in().get(address("proposal", proposal)))
        assert "a rejection is final" in page.text
        assert not page.all("form", action=address("withdraw-decision", proposal))
        assert self.send(signed_in(), proposal).status_code == 409

    def test_keeps_what_was_typed_when_it_is_refused(self):
        proposal = waiting("high")
        approve(proposal, reviewer=senior(), fact="bear")
        long = "because " * 300
        answer = self.send(signed_in(senior()), proposal, reason=long)
        assert answer.status_code == 422
        [field] = Page(answer).all("input", id="id_withdraw_reason")
        assert field["value"] == long
        assert field["aria-invalid"] == "true"
        answer = self.send(signed_in(senior()), proposal, digest="sha256:0", reason="Hm.")
        assert answer.status_code == 409
        [field] = Page(answer).all("input", id="id_withdraw_reason")
        assert field["value"] == "Hm."

    def test_is_refused_to_a_get_and_to_people_who_may_not_look(self):
        proposal = waiting()
        assert signed_in().get(address("withdraw-decision", proposal)).status_code == 405
        nobody = make_person("nobody", groups=())
        assert self.send(signed_in(nobody), proposal).status_code == 403

    def test_leaves_the_row_in_my_decisions_and_puts_it_back_among_what_waits_on_me(self):
        proposal = waiting("high")
        approve(proposal, reviewer=senior(), fact="bear")
        browser = signed_in(senior())
        self.send(browser, proposal)
        work()
        mine = browser.get("/?tab=mine").content.decode()
        assert address("proposal", proposal) in mine
        assert "0 of 2" in mine
        assert address("proposal", proposal) in browser.get("/?tab=waiting").content.decode()


class TestProposingOtherValues:
    def test_is_linked_from_the_decision_and_shows_what_there_is(self):
        proposal = waiting()
        browser = signed_in()
        page = Page(browser.get(address("proposal", proposal, "?tab=waiting")))
        assert page.all("a", href=address("edit", proposal, "?tab=waiting"))
        page = Page(browser.get(address("edit", proposal)))
        [colour] = page.all("input", name="value.colour")
        assert colour["value"] == "blue"
        assert page.all("select", name="value.toy")
        assert page.all("select", name="value.tier")
        assert page.all("select", name="value.for_good")
        assert page.all("textarea", name="value.note")
        assert "left out" in page.text

    def test_stores_a_revision_and_leads_to_it(self):
        proposal = waiting()
        browser = signed_in()
        answer = browser.post(address("edit", proposal), values(proposal))
        assert answer.status_code == 302
        page = Page(browser.get(answer["Location"]))
        assert "Revision 2 was stored in your name" in page.text
        work()
        page = Page(browser.get(answer["Location"]))
        assert "Revision 2 by Rita." in page.text
        assert "wrote revision 2" in page.text
        assert "Green was agreed." in page.text
        assert fresh(proposal).revision().params == painting("green", tier="medium")
        data = {
            "decision": "approve",
            "digest": fresh(proposal).current_check.digest,
            "list": "tab=waiting",
        }
        assert browser.post(address("decide", proposal), data).status_code == 302
        work()
        assert box.colours["bear"] == "green"
        text = Page(browser.get(address("proposal", proposal))).text
        assert "with values of their own" in text

    def test_says_at_high_tier_that_the_author_approves_nothing(self):
        proposal = waiting("high")
        browser = signed_in(senior())
        assert (
            "nobody approves what they wrote" in Page(browser.get(address("edit", proposal))).text
        )
        browser.post(address("edit", proposal), values(proposal))
        work()
        page = Page(browser.get(address("proposal", proposal)))
        assert "You proposed these values" in page.text
        assert not page.all("input", name="decision")
        assert page.all("a", href=address("edit", proposal, "?tab=waiting"))

    def test_names_faults_at_their_fields_and_loses_nothing(self):
        proposal = waiting()
        sent = values(
            proposal, **{"value.colour": "", "value.note": "{broken", "reason": "Because."}
        )
        answer = signed_in().post(address("edit", proposal), sent)
        assert answer.status_code == 422
        page = Page(answer)
        assert "Not JSON" in page.text
        [note] = page.all("textarea", name="value.note")
        assert note["aria-invalid"] == "true"
        assert "{broken" in page.text
        assert "Because." in page.text
        answer = signed_in().post(address("edit", proposal), sent | {"value.note": ""})
        page = Page(answer)
        assert answer.status_code == 422
        [colour] = page.all("input", name="value.colour")
        assert colour["aria-invalid"] == "true"
        assert page.all("a", href="#id_value.colour")
        assert fresh(proposal).revision_number == 1

    def test_refuses_values_that_are_the_same_and_a_missing_reason(self):
        proposal = waiting()
        same = values(proposal, **{"value.colour": "blue"})
        answer = signed_in().post(address("edit", proposal), same)
        assert answer.status_code == 422
        assert "Nothing was changed." in Page(answer).text
        answer = signed_in().post(address("edit", proposal), values(proposal, reason=" "))
        assert answer.status_code == 422
        assert "Say why" in Page(answer).text

    def test_keeps_what_was_typed_when_it_changed_meanwhile(self):
        proposal = waiting()
        sent = values(proposal)
        from tests.proposals.test_edited_by_reviewer import amend

        amend(proposal, params=painting("pink", tier="medium"))
        work()
        browser = signed_in()
        answer = browser.post(address("edit", proposal), sent)
        assert answer.status_code == 409
        page = Page(answer)
        assert "It changed after you opened this page" in page.text
        [colour] = page.all("input", name="value.colour")
        assert colour["value"] == "green"
        assert "Now: pink" in page.text
        [digest] = page.all("input", name="digest")
        assert digest["value"] == fresh(proposal).current_check.digest
        again = browser.post(address("edit", proposal), sent | {"digest": digest["value"]})
        assert again.status_code == 302

    def test_says_why_it_is_not_possible_and_shows_no_form(self):
        proposal = waiting()
        owner = proposal.agent.owner
        owner.groups.add(*make_person().groups.all())
        page = Page(signed_in(owner).get(address("edit", proposal)))
        assert "You own the agent billing-bot" in page.text
        assert not page.all("form", action=address("edit", proposal))
        answer = signed_in(owner).post(address("edit", proposal), values(proposal))
        assert answer.status_code == 409
        review(proposal, "reject")
        page = Page(signed_in().get(address("edit", proposal)))
        assert "It is rejected" in page.text
        unchecked = make_proposal(params=painting("red", tier="medium"))
        assert "It is checking" in Page(signed_in().get(address("edit", unchecked))).text

    def test_makes_hidden_characters_of_the_agent_visible_beside_the_field(self):
        proposal = waiting(params={"colour": f"blue{RLO}der"})
        html = signed_in(senior()).get(address("edit", proposal)).content.decode()
        assert "U+202E" in html
        assert RLO not in html
        page = Page(signed_in(senior()).get(address("edit", proposal)))
        [_] = page.all("textarea", name="value.colour")
        assert '"blue\\u202eder"' in page.inside("textarea")
        same = values(proposal, **{"value.tier": "medium", "value.colour": '"blue\\u202eder"'})
        answer = signed_in(senior()).post(address("edit", proposal), same)
        assert "Nothing was changed." in Page(answer).text
        other = same | {"value.colour": '"blue\\u202eder!"'}
        assert signed_in(senior()).post(address("edit", proposal), other).status_code == 302
        assert fresh(proposal).revision().params["colour"] == f"blue{RLO}der!"

    def test_changes_nothing_that_was_not_touched_whatever_line_ends_a_browser_sends(self):
        note = {"lines": "a\nb", "n": 1.5}
        proposal = waiting(params={"note": note, "colour": "blue\ngreen"})
        browser = signed_in()
        page = Page(browser.get(address("edit", proposal)))
        assert page.all("textarea", name="value.colour")
        shown = next(one.shown for one in slots_of(proposal) if one.path == ("note",))
        sent = values(
            proposal,
            **{"value.note": shown.replace("\n", "\r\n"), "value.colour": "blue\r\ngreen"},
        )
        assert browser.post(address("edit", proposal), sent).status_code == 422
        sent |= {"value.toy": "duck"}
        assert browser.post(address("edit", proposal), sent).status_code == 302
        revised = fresh(proposal).revision().params
        assert revised == proposal.revision().params | {"toy": "duck"}

    def test_reads_numbers_choices_and_json_as_what_they_are(self):
        proposal = waiting()
        sent = values(proposal, **{"value.for_good": "true", "value.note": '{"coats": [1, 2.5]}'})
        assert signed_in().post(address("edit", proposal), sent).status_code == 302
        assert fresh(proposal).revision().params == {
            **painting("green", tier="medium"),
            "for_good": True,
            "note": {"coats": [1, 2.5]},
        }

    @pytest.mark.parametrize(
        "sent", ['{"a": 1, "a": 2}', "NaN", "12345678901234567890", "[" * 40 + "]" * 40, "\x00"]
    )
    def test_reads_json_as_strictly_as_from_an_agent(self, sent):
        proposal = waiting()
        answer = signed_in().post(
            address("edit", proposal), values(proposal, **{"value.note": sent})
        )
        assert answer.status_code == 422
        assert Page(answer).all("textarea", name="value.note")[0]["aria-invalid"] == "true"

    def test_is_shut_to_people_who_may_not_look(self):
        proposal = waiting()
        nobody = signed_in(make_person("nobody", groups=()))
        assert nobody.get(address("edit", proposal)).status_code == 403
        assert nobody.post(address("edit", proposal), values(proposal)).status_code == 403
        assert not LedgerEntry.objects.filter(kind="proposal.submitted", number__gt=1).exists()

    def test_is_not_linked_for_an_undo(self):
        proposal = factories.make_checked()
        box.colours["bear"] = "green"
        from proposals import services

        undo = services.undo(
            proposal_id=proposal.pk,
            person=make_person("olga"),
            reason="A mix-up.",
            over_conflicts=True,
        )
        work()
        page = Page(signed_in().get(address("proposal", undo)))
        assert not page.all("a", href=address("edit", undo, "?tab=waiting"))
        assert "the system&#x27;s to say" in signed_in().get(address("edit", undo)).content.decode()

    def test_is_offered_again_on_what_rules_ask_about_at_low_tier(self):
        rule = Rule(name="Ask", effect="review", approvals=1, group="reviewers")
        from proposals import services

        services.save_rule(rule=rule, person=None, is_new=True)
        proposal = waiting("low")
        assert (
            "you may approve it yourself" in Page(signed_in().get(address("edit", proposal))).text
        )


def slots_of(proposal):
    from proposals.registry import registry

    return param_fields.slots(registry.get("toys.set").schema(), proposal.revision().params)


class TestTheFieldsOfACall:
    """From schemas as the shipped actions have them: alternatives, references, constants."""

    SCHEMA = {
        "oneOf": [{"$ref": "#/$defs/Orders"}, {"$ref": "#/$defs/Drafts"}],
        "$defs": {
            "Orders": {
                "properties": {
                    "table": {"const": "shop.orders"},
                    "key": {"type": "string"},
                    "keys": {"type": "array"},
                    "set": {"$ref": "#/$defs/Set"},
                },
                "required": ["table", "set"],
            },
            "Drafts": {"properties": {"table": {"const": "shop.drafts"}}},
            "Set": {
                "properties": {
                    "status": {"enum": ["paid", "refunded"], "type": "string"},
                    "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                    "count": {"type": "integer"},
                }
            },
        },
    }

    def test_are_those_of_the_alternative_that_the_call_is_of(self):
        params = {"table": "shop.orders", "key": "7", "set": {"status": "refunded"}}
        found = {slot.path: slot for slot in param_fields.slots(self.SCHEMA, params)}
        assert list(found) == [
            ("key",),
            ("keys",),
            ("set", "status"),
            ("set", "note"),
            ("set", "count"),
        ]
        assert found["set", "status"].kind is param_fields.Kind.CHOICE
        assert found["set", "note"].kind is param_fields.Kind.JSON
        assert found["set", "count"].read("12") == 12
        assert found["key",].kind is param_fields.Kind.TEXT
        with pytest.raises(ValueError, match="whole number"):
            found["set", "count"].read("1.5")

    @pytest.mark.parametrize("schema", [{}, {"properties": {"other": {}}}, {"oneOf": [{}]}])
    def test_are_one_of_json_where_the_schema_does_not_name_what_is_there(self, schema):
        params = {"table": "shop.orders", "odd": [1]}
        [slot] = param_fields.slots(schema, params)
        assert (slot.path, slot.kind, slot.now) == ((), param_fields.Kind.JSON, params)

    def test_survive_a_value_that_does_not_fit_its_schema_any_more(self):
        schema = {"properties": {"a": {"type": "string"}, "b": {"enum": ["x"], "type": "string"}}}
        one, two = param_fields.slots(schema, {"a": 1, "b": "gone"})
        assert (one.kind, one.shown) == (param_fields.Kind.JSON, "1")
        assert ("gone", "gone") in two.options()

    def test_survive_a_schema_that_refers_to_itself(self):
        schema = {
            "properties": {"a": {"$ref": "#/$defs/A"}},
            "$defs": {"A": {"$ref": "#/$defs/A"}},
        }
        [slot] = param_fields.slots(schema, {"a": 1})
        assert slot.kind is param_fields.Kind.JSON
