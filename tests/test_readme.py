"""The README's own action, executed as it stands there."""

import re
from pathlib import Path

import pytest

from proposals import services
from proposals.registry import registry
from tests import factories

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


@pytest.fixture
def flags():
    [code] = re.findall(r"```python\n(.*?)```", README, re.S)
    names: dict = {"__name__": "readme_actions"}
    exec(compile(code, "README.md", "exec"), names)
    yield names["FLAGS"]
    registry.actions.pop("flags.set", None)


@pytest.mark.django_db
def test_the_action_of_the_readme_is_proposed_approved_committed_and_undone(flags):
    rita = factories.make_person()
    proposal = factories.make_checked(
        action="flags.set", params={"flag": "new-checkout", "state": "on"}
    )
    assert proposal.status == "pending"
    assert proposal.current_check.sentence == "Switch the flag new-checkout on"
    factories.approve(proposal, reviewer=rita)
    factories.work()
    assert flags["new-checkout"] == "on"
    services.undo(proposal_id=proposal.pk, person=rita, reason="Not yet.")
    factories.work()
    assert flags["new-checkout"] == "off"


def test_every_file_that_the_readme_names_exists():
    for name in re.findall(r"`((?:tests|docs)/[A-Za-z_/.]+)`", README):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"\]\((docs/[^)]+)\)", README):
        assert (ROOT / name).exists(), name
