"""The menu of writes takes an action under one name, which grants, rules and addresses can say."""

import pytest

from proposals.registry import Registry, is_action_name
from tests.toys import RestoreColour, SetColour


@pytest.fixture
def menu():
    return Registry()


def named(name) -> type:
    return type("Named", (SetColour,), {"name": name})


@pytest.mark.parametrize("name", ["toys.set", "toys.set_colour", "shop.toys.set2", "_toys._set"])
def test_a_name_is_noun_and_verb(menu, name):
    menu.register(named(name))
    assert menu.names() == [name]


@pytest.mark.parametrize(
    "name",
    [
        *[
            "",
            "toys",
            ".set",
            "toys.",
            "toys..set",
            "toys_.set",
            "toys.set.",
            "toys.*",
            "toys.s\u00e4t",
        ],
        *["Toys.set", "toys.setColour", "toys set.x", "toys.set\n", "a." + "b" * 127],
    ],
)
def test_what_no_grant_could_name_is_no_name(menu, name):
    with pytest.raises(ValueError, match="in lower case, not"):
        menu.register(named(name))
    assert menu.names() == []


def test_the_longest_name_is_what_a_proposal_can_keep():
    assert is_action_name("a." + "b" * 126)


def test_a_name_is_taken_once(menu):
    menu.register(SetColour)
    menu.register(SetColour)
    with pytest.raises(ValueError, match="Two actions are named"):
        menu.register(type("Another", (RestoreColour,), {"name": SetColour.name}))
    assert isinstance(menu.get(SetColour.name), SetColour)
