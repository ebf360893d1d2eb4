"""Table files: what is read, and what stops the start."""

from decimal import Decimal

import pytest
from django.core.exceptions import ImproperlyConfigured

from proposals.actions import record_params, tables
from proposals.actions.tables import Column, Kind
from proposals.registry import Tier, registry

GOOD = """
[shop.parcels]
label = "parcel"
creatable = true
archive_column = "gone_at"
[shop.parcels.columns.weight]
kind = "decimal"
digits = 3
writable = true
[shop.parcels.columns.json]
writable = true
nullable = true
tier = "low"
[shop.parcels.columns.gone_at]
kind = "timestamp"
nullable = true
"""


@pytest.fixture
def described(settings, tmp_path):
    """Use a table file of this text instead of the demonstration's."""

    def use(text: str) -> dict:
        path = tmp_path / "tables.toml"
        path.write_text(text)
        settings.TABLE_FILES = [str(path)]
        record_params.reload()
        return tables.tables()

    yield use
    record_params.reload()


def test_a_description_is_read_with_careful_defaults(described):
    table = described(GOOD)["shop.parcels"]
    assert (table.key, table.many) == ("id", "parcels")
    assert table.columns["weight"].tier is Tier.HIGH
    assert list(table.writable) == ["weight", "json"]


def test_actions_follow_the_files(described):
    described(GOOD)
    valid = registry.get("records.update").validate(
        {"table": "shop.parcels", "key": "7", "set": {"weight": "1.5", "json": None}}
    )
    assert valid["set"] == {"weight": "1.500", "json": None}
    schema = registry.get("records.update").schema()
    assert schema["type"] == "object"
    assert "shop.orders" not in str(schema)


def test_without_any_table_nothing_fits(described):
    described("")
    for name in ("records.update", "records.create", "records.archive"):
        action = registry.get(name)
        assert action.schema()["type"] == "object"
        with pytest.raises(Exception, match="do not fit"):
            action.validate({"table": "shop.orders", "key": "1", "set": {"status": "paid"}})


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ("[shop.parcels", "tables.toml"),
        ("shop = 3", "shop must be a section"),
        ("[nowhere.parcels]", "no target database 'nowhere'"),
        ("[default.auth_user]", "no target database 'default'"),
        ("[shop.'drop table']", "shop.drop table.name"),
        ("[shop.parcels]\ncolour = 1", "shop.parcels.colour"),
        ("[shop.parcels.columns.'a\"b']", "name"),
        ("[shop.parcels.columns.a]\nkind = 'blob'", "a.kind"),
        ("[shop.parcels.columns.a]\ntier = 'none'", "a.tier"),
        ("[shop.parcels.columns.a]\nwritable = 'yes'", "a.writable"),
        ("[shop.parcels.columns.a]\nkind = 'integer'\nchoices = ['1']", "choices are for kind"),
        ("[shop.parcels.columns.a]\ncurrency_column = 'b'", "currency_column is for kind decimal"),
        (
            "[shop.parcels.columns.a]\nkind = 'decimal'\ncurrency_column = 'b'",
            "currency_column of a names no described column",
        ),
        ("[shop.parcels]\narchive_column = 'a'", "archive_column names no described column"),
        (GOOD + "writable = true", "must be a nullable timestamp, and not writable"),
        ("[shop.parcels]\nkey = 'a'\n[shop.parcels.columns.a]\nwritable = true", "the key cannot"),
        ("[shop.parcels]\ncreatable = true", "creatable needs a writable column"),
        ("[shop.parcels]\nkey_kind = 'decimal'", "shop.parcels.key_kind"),
    ],
)
def test_a_fault_is_named_with_its_place(described, fault, named):
    with pytest.raises(ImproperlyConfigured) as refusal:
        described(fault)
    assert "tables.toml" in str(refusal.value)
    assert named in str(refusal.value)


def test_a_file_that_is_missing_and_a_table_described_twice_are_faults(described, settings):
    described(GOOD)
    settings.TABLE_FILES = settings.TABLE_FILES * 2
    record_params.reload()
    with pytest.raises(ImproperlyConfigured, match="described twice"):
        tables.tables()
    settings.TABLE_FILES = ["/nowhere/at/all.toml"]
    with pytest.raises(ImproperlyConfigured, match=r"all\.toml"):
        tables.tables()


@pytest.mark.parametrize(
    ("kind", "one", "other", "json"),
    [
        (Kind.DECIMAL, Decimal("12.5"), "12.50", "12.50"),
        (Kind.DECIMAL, 12.5, Decimal("12.500"), "12.50"),
        (Kind.DECIMAL, "12.505", Decimal("12.505"), "12.505"),
        (Kind.DECIMAL, "-0.00", Decimal(0), "0.00"),
        (Kind.BOOLEAN, 1, True, True),
        (
            Kind.TIMESTAMP,
            "2026-03-01 10:00:00",
            "2026-03-01T11:00:00+01:00",
            "2026-03-01T10:00:00.000000+00:00",
        ),
    ],
)
def test_equal_values_are_the_same_json_on_every_database(kind, one, other, json):
    column = Column(name="x", kind=kind)
    assert column.as_json(one) == column.as_json(other) == json


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Kind.DECIMAL, "NaN"),
        (Kind.DECIMAL, "much"),
        (Kind.BOOLEAN, "false"),
        (Kind.INTEGER, 1.5),
        (Kind.INTEGER, 2**60),
        (Kind.TEXT, b"\x00"),
        (Kind.TIMESTAMP, "yesterday"),
    ],
)
def test_a_value_of_another_kind_is_never_bent_to_fit(kind, value):
    with pytest.raises(ValueError, match=r".+"):
        Column(name="x", kind=kind).as_json(value)
