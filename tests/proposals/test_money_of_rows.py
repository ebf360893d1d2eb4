"""The money of rows: budgets count what a write moves of it, or the write is refused."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connections

from budgets.models import Reservation
from ledger import clock
from proposals import services
from proposals.actions import record_params
from proposals.demonstration.shop import TYPES
from proposals.exceptions import TargetRefused
from proposals.models import Rule
from proposals.registry import Money
from tests import factories
from tests.factories import fresh, make_agent, make_checked, make_person, work
from tests.proposals.test_budgets import cap
from tests.shop_calls import ARCHIVE, CREATE, RESTORE, UPDATE, undo, write

CREDITS = """
[shop.credits]
creatable = true
archive_column = "gone_at"
tier = "low"
[shop.credits.columns.amount]
kind = "decimal"
currency_column = "currency"
nullable = true
writable = true
[shop.credits.columns.currency]
nullable = true
writable = true
[shop.credits.columns.note]
nullable = true
writable = true
[shop.credits.columns.gone_at]
kind = "timestamp"
nullable = true
"""
HELD = [("5.00", "EUR"), ("7.00", "SEK"), ("9.00", None), (None, None), ("11.00", "eur")]
TABLE = "shop.credits"
SEVERAL = "several currencies .*; propose them apart"
NO_CURRENCY = "has no currency of three letters"


@pytest.fixture(autouse=True)
def credits(shop, settings, tmp_path):
    """A table whose rows agents may make, change in amount and currency, and archive."""
    types = TYPES[connections["shop"].vendor]
    columns = "amount {decimal}, currency {text}, note {text}, gone_at {moment}"
    shop.execute(f"CREATE TABLE credits (id {types['id']}, {columns.format(**types)})")
    for amount, currency in HELD:
        shop.execute("INSERT INTO credits (amount, currency) VALUES (%s, %s)", [amount, currency])
    path = tmp_path / "credits.toml"
    path.write_text(CREDITS)
    settings.TABLE_FILES = [str(path)]
    record_params.reload()
    yield shop
    record_params.reload()


def setting(*keys: str, **values) -> dict:
    return {"table": TABLE, "keys": list(keys), "set": values}


def archiving(*keys: str) -> dict:
    return {"table": TABLE, "keys": list(keys)}


def making(**values) -> dict:
    return {"table": TABLE, "values": values}


def moved(action, params) -> Money | None:
    return action.preview(params).impact.amount


def euros(amount: str) -> Money:
    return Money(Decimal(amount), "EUR")


class TestWhatMoves:
    def test_is_the_difference_of_a_changed_amount(self):
        assert moved(UPDATE, setting("1", amount="2.50")) == euros("2.50")
        assert moved(UPDATE, setting("1", amount=None)) == euros("5.00")
        assert moved(UPDATE, setting("1", "5", amount="0.00")) == euros("16.00")

    def test_is_all_that_a_new_row_holds(self):
        assert moved(CREATE, making(amount="500.00", currency="EUR")) == euros("500.00")
        assert moved(CREATE, making(amount="-500.00", currency="EUR")) == euros("500.00")
        assert moved(CREATE, making(note="Nothing yet", currency="EUR")) is None
        assert moved(CREATE, making(note="Nothing at all")) is None

    def test_is_all_that_an_archived_row_held(self):
        assert moved(ARCHIVE, archiving("1")) == euros("5.00")
        assert moved(ARCHIVE, archiving("1", "4", "5")) == euros("16.00")
        assert moved(ARCHIVE, archiving("4")) is None

    def test_is_what_a_row_gets_that_had_none(self):
        assert moved(UPDATE, setting("4", amount="3.00", currency="EUR")) == euros("3.00")

    def test_is_of_one_currency_however_it_is_spelled(self):
        assert moved(CREATE, making(amount="1.00", currency=" eur")) == euros("1.00")
        assert moved(UPDATE, setting("5", currency="EUR")) == euros("0.00")

    def test_is_nothing_where_no_money_is_touched(self):
        for key in ("1", "2", "3", "4"):
            assert moved(UPDATE, setting(key, note="Seen")) is None

    @pytest.mark.parametrize(
        ("action", "params"),
        [
            (UPDATE, setting("1", "2", amount="1.00")),
            (UPDATE, setting("1", currency="USD")),
            (UPDATE, setting("1", currency="USD", amount="90000.00")),
            (ARCHIVE, archiving("1", "2")),
        ],
    )
    def test_in_several_currencies_is_refused(self, action, params):
        with pytest.raises(TargetRefused, match=SEVERAL):
            action.preview(params)

    @pytest.mark.parametrize(
        ("action", "params"),
        [
            (UPDATE, setting("3", amount="1.00")),
            (UPDATE, setting("1", "3", amount="1.00")),
            (UPDATE, setting("3", currency="EUR")),
            (UPDATE, setting("1", currency=None)),
            (UPDATE, setting("4", amount="1.00")),
            (UPDATE, setting("4", amount="1.00", currency="euros")),
            (CREATE, making(amount="1.00")),
            (CREATE, making(amount="1.00", currency="€")),
            (ARCHIVE, archiving("3")),
        ],
    )
    def test_in_no_known_currency_is_refused(self, action, params):
        with pytest.raises(TargetRefused, match=NO_CURRENCY):
            action.preview(params)


class TestTakingItBack:
    @pytest.mark.parametrize(
        ("action", "params", "amount"),
        [
            (UPDATE, setting("1", "5", amount="1.00"), "14.00"),
            (UPDATE, setting("1", amount=None, note="Void"), "5.00"),
            (CREATE, making(amount="500.00", currency="EUR"), "500.00"),
            (ARCHIVE, archiving("1", "5"), "16.00"),
        ],
    )
    def test_moves_as_much_as_the_write_did(self, action, params, amount):
        assert moved(action, params) == euros(amount)
        back = write(action, params).compensation
        assert moved(RESTORE, back.params) == euros(amount)

    def test_is_not_refused_where_it_is_in_several_currencies(self, credits):
        done = write(UPDATE, setting("1", "5", amount="1.00"))
        credits.execute("UPDATE credits SET currency = 'SEK' WHERE id = 1")
        impact = RESTORE.preview(done.compensation.params).impact
        assert (impact.amount, impact.beside) == (euros("10.00"), (Money(Decimal("4.00"), "SEK"),))
        assert "10.00 EUR and 4.00 SEK" in impact.reasons[1]
        undo(done, "k2")
        assert held(credits, 1) == ("5.00", "SEK")

    @pytest.mark.parametrize("currency", [None, "euros"])
    def test_is_not_refused_where_it_is_in_no_known_currency(self, credits, currency):
        done = write(UPDATE, setting("1", amount="1.00"))
        credits.execute("UPDATE credits SET currency = %s WHERE id = 1", [currency])
        impact = RESTORE.preview(done.compensation.params).impact
        assert impact.amount == Money(Decimal("4.00"), "")
        assert "4.00 of no known currency" in impact.reasons[1]
        undo(done, "k2")
        assert held(credits, 1) == ("5.00", currency)

    def test_is_not_refused_where_what_is_only_measured_cannot_be_read(self, credits):
        done = write(ARCHIVE, archiving("1"))
        junk = "NaN" if connections["shop"].vendor == "postgresql" else "junk"
        credits.execute("UPDATE credits SET amount = %s WHERE id = 1", [junk])
        assert RESTORE.preview(done.compensation.params).impact.amount == Money(Decimal(0), "")
        undo(done, "k2")
        assert credits.rows("SELECT gone_at FROM credits WHERE id = 1") == [(None,)]


def held(shop, key: int) -> tuple:
    [(amount, currency)] = shop.rows("SELECT amount, currency FROM credits WHERE id = %s", [key])
    return (None if amount is None else str(amount), currency)


@pytest.mark.django_db
class TestBudgets:
    @pytest.fixture(autouse=True)
    def _caps(self):
        """Everything is allowed, up to 20 a minute of each currency."""
        make_person()
        rule = Rule(name="All", condition="true", effect="allow")
        services.save_rule(rule=rule, person=None, is_new=True)
        for currency in ("EUR", "SEK"):
            cap(name=currency, unit="money", currency=currency, limit=20)

    def reserved(self, proposal) -> dict[str, Decimal]:
        found = Reservation.objects.filter(proposal=str(proposal.pk))
        return dict(found.values_list("scope__budget__currency", "amount"))

    @pytest.mark.parametrize(
        ("action", "params"),
        [
            (UPDATE, setting("1", amount="90000.00")),
            (CREATE, making(amount="90000.00", currency="EUR")),
            (CREATE, making(amount="90000.00", currency="eur")),
        ],
    )
    def test_refuse_what_is_over_them(self, action, params):
        assert make_checked(action=action.name, params=params).status == "denied"

    def test_count_what_is_archived(self, credits):
        credits.execute("UPDATE credits SET amount = '90000.00' WHERE id = 1")
        denied = make_checked(action=ARCHIVE.name, params=archiving("1"))
        assert denied.status == "denied"

    @pytest.mark.parametrize(
        "params",
        [
            setting("1", "2", amount="90000.00"),
            setting("1", amount="90000.00", currency="USD"),
            setting("3", amount="90000.00"),
        ],
    )
    def test_are_not_passed_by_what_they_cannot_count(self, params):
        """People see why it cannot be counted, and cannot approve it."""
        proposal = make_checked(action=UPDATE.name, params=params)
        assert proposal.status == "pending"
        assert not proposal.current_check.is_approvable
        assert "currenc" in proposal.current_check.error

    def test_count_each_currency_that_an_undo_moves_and_people_look(self, credits):
        agent = make_agent()
        done = make_checked(
            agent=agent, action=UPDATE.name, params=setting("1", "5", amount="1.00")
        )
        assert (done.status, self.reserved(done)) == ("committed", {"EUR": Decimal("14.00")})
        credits.execute("UPDATE credits SET currency = 'SEK' WHERE id = 1")
        Reservation.objects.update(counted_at=clock.now() - timedelta(hours=1))
        undo, _ = services.undo_by_agent(
            agent=agent, proposal_id=done.pk, key="u", fingerprint="u", rationale="A mix-up."
        )
        work()
        undo = fresh(undo)
        assert undo.status == "pending"
        assert [each["code"] for each in undo.current_check.reasons][-1] == "money-unclear"
        assert self.reserved(undo) == {"EUR": Decimal("10.00"), "SEK": Decimal("4.00")}
        factories.approve(undo)
        work()
        assert fresh(undo).status == "committed"

    def test_hold_up_no_person_who_takes_back_what_is_in_several_currencies(self, credits):
        done = make_checked(action=UPDATE.name, params=setting("1", "5", amount="1.00"))
        credits.execute("UPDATE credits SET currency = 'SEK' WHERE id = 1")
        olga = make_person("olga", groups=["operators"])
        undo = services.undo(proposal_id=done.pk, person=olga, reason="A mix-up.")
        work()
        assert fresh(undo).status == "committed"
