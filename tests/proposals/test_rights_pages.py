"""Every page, and whom it opens for. A page that is in no table below fails the build.

R reviewer · S senior reviewer · O operator · P policy administrator · A auditor · w owner of the
agent, in no group · z superuser in no group · n somebody in no group. All may sign in to the admin.
An agent's token and nobody at all open none of these pages: `test_doors` walks them.
"""

import pytest
from django.db import transaction
from django.template.response import SimpleTemplateResponse
from django.test import Client

from proposals import defaults
from tests.factories import make_person
from tests.proposals.test_doors import ADMIN, PEOPLE, Scene, of

pytestmark = [pytest.mark.django_db, pytest.mark.once, pytest.mark.usefixtures("toybox")]

GROUPS = {
    "R": ["reviewers"],
    "S": ["senior-reviewers"],
    "O": ["operators"],
    "P": ["policy-administrators"],
    "A": ["auditors"],
    "n": [],
}
EVERYBODY = "RSOPAwzn"
CONSOLE = {
    "RSOPAwzn": r"""
        account/
        account/authenticator/
        account/authenticator/remove/
        account/passkeys/
        account/passkeys/<int:pk>/
        account/passkeys/<int:pk>/remove/
        account/passkeys/add/
        account/password/
        account/password/set/
        account/recovery-codes/
        account/recovery-codes/file/
        account/recovery-codes/new/
        sign-in-again/
        sign-in-again/code/
        sign-in-again/passkey/
    """,
    "RSOPAw": r"""
        (queue)
        agents/
        agents/<uuid:agent_id>/
        agents/<uuid:agent_id>/grants/
        agents/<uuid:agent_id>/grants/remove/
        agents/<uuid:agent_id>/let-go/
        agents/<uuid:agent_id>/observe/
        agents/<uuid:agent_id>/observed/
        agents/<uuid:agent_id>/resume/
        agents/<uuid:agent_id>/suspend/
        agents/<uuid:agent_id>/tokens/issue/
        agents/<uuid:agent_id>/tokens/revoke/
        agents/<uuid:agent_id>/tokens/rotate/
        help/
        proposals/<uuid:proposal_id>/
        proposals/<uuid:proposal_id>/outcome/
        proposals/<uuid:proposal_id>/undo/
        proposals/<uuid:proposal_id>/whole/
        rules/
    """,
    "RSOPA": r"""
        actions/
        actions/<str:name>/
        actions/<str:name>/export/
        actions/<str:name>/switch/
        actions/export/
        actions/secrets/
        agents/new/
        budgets/
        databases/
        databases/<slug:name>/
        databases/<slug:name>/change/
        databases/<slug:name>/switch/
        databases/<slug:name>/tables/<slug:table>/switch/
        databases/add/
        mail/
        mail/templates/<slug:name>/
        mail/templates/<slug:name>/switch/
        notifications/
        preferences/
        proposals/<uuid:proposal_id>/claim/
        proposals/<uuid:proposal_id>/comments/<int:review_id>/resolve/
        proposals/<uuid:proposal_id>/decide/
        proposals/<uuid:proposal_id>/decide/withdraw/
        proposals/<uuid:proposal_id>/edit/
        proposals/<uuid:proposal_id>/outcome/ask/
        proposals/<uuid:proposal_id>/outcome/attest/
        proposals/<uuid:proposal_id>/recheck/
        proposals/<uuid:proposal_id>/reconcile/
        proposals/<uuid:proposal_id>/retry/
        pulse/
        recent/
        rules/<int:rule_id>/try/
        runs/
        runs/<int:run_id>/
        runs/<int:run_id>/undo/
        runs/<int:run_id>/undo/<uuid:undoing_id>/
        search/
        stop/
        stop/freeze/
        stop/lift/
        stop/resume/
        stop/suspend/
        summary/
        unknown/
        unknown/targets/<int:breaker_id>/try/
        views/
        views/<int:view_id>/remove/
    """,
    "OP": r"""
        budgets/<int:budget_id>/lower/
        actions/<str:name>/try/
        databases/<slug:name>/test/
    """,
    "P": r"""
        actions/<str:name>/change/
        actions/import/
        actions/new/
        actions/secrets/<slug:name>/forget/
        actions/secrets/<slug:name>/replace/
        actions/secrets/keep/
        actions/try/
        databases/<slug:name>/tables/
        databases/<slug:name>/tables/<slug:table>/
        mail/domains/
        mail/templates/add/
        notifications/webhooks/
        notifications/webhooks/<int:webhook_id>/
        notifications/webhooks/<int:webhook_id>/switch/
        notifications/webhooks/<int:webhook_id>/test/
        notifications/webhooks/new/
        people/
        people/<int:person_id>/
        people/<int:person_id>/deactivate/
        people/<int:person_id>/groups/
        people/<int:person_id>/new-password/
        people/<int:person_id>/reactivate/
        people/<int:person_id>/remove-factors/
        people/invitations/<int:invitation_id>/revoke/
        people/invite/
        proposals/<uuid:proposal_id>/allow/
    """,
    "A": r"""
        proposals/<uuid:proposal_id>/evidence/
        proposals/<uuid:proposal_id>/explain/
    """,
}
ADMINISTRATION = {
    "RSOPAwzn": r"""
        admin/
        admin/(?P<url>.*)$
        admin/^(?P<app_label>ledger|auth|proposals|budgets)/$
        admin/auth/group/<path:object_id>/
        admin/auth/user/<path:object_id>/
        admin/budgets/budget/<path:object_id>/
        admin/budgets/refusal/<path:object_id>/
        admin/budgets/refusal/<path:object_id>/history/
        admin/budgets/reservation/<path:object_id>/
        admin/jsi18n/
        admin/ledger/access/<path:object_id>/
        admin/ledger/access/<path:object_id>/history/
        admin/ledger/ledgerentry/<path:object_id>/
        admin/login/
        admin/password_change/
        admin/password_change/done/
        admin/proposals/agent/<path:object_id>/
        admin/proposals/agent/^([^/]+)/history/([^/]+)/$
        admin/proposals/agenttoken/<path:object_id>/
        admin/proposals/attestation/<path:object_id>/
        admin/proposals/attestation/<path:object_id>/history/
        admin/proposals/breaker/<path:object_id>/
        admin/proposals/breaker/<path:object_id>/history/
        admin/proposals/check/<path:object_id>/
        admin/proposals/evidence/<path:object_id>/
        admin/proposals/evidence/<path:object_id>/history/
        admin/proposals/exchange/<path:object_id>/
        admin/proposals/exchange/<path:object_id>/history/
        admin/proposals/execution/<path:object_id>/
        admin/proposals/freeze/<path:object_id>/
        admin/proposals/grant/<path:object_id>/
        admin/proposals/idempotencykey/<path:object_id>/
        admin/proposals/proposal/<path:object_id>/
        admin/proposals/proposal/^([^/]+)/history/([^/]+)/$
        admin/proposals/review/<path:object_id>/
        admin/proposals/revision/<path:object_id>/
        admin/proposals/rule/<path:object_id>/
        admin/proposals/run/<path:object_id>/
        admin/r/<path:content_type_id>/<path:object_id>/
    """,
    "RSOPA": r"""
        admin/budgets/reservation/<path:object_id>/history/
        admin/budgets/budget/^([^/]+)/history/([^/]+)/$
        admin/budgets/budget/<path:object_id>/history/
        admin/budgets/budget/
        admin/budgets/budget/<path:object_id>/change/
        admin/budgets/refusal/
        admin/budgets/refusal/<path:object_id>/change/
        admin/budgets/reservation/
        admin/budgets/reservation/<path:object_id>/change/
        admin/proposals/agent/
        admin/proposals/agent/<path:object_id>/change/
        admin/proposals/agent/<path:object_id>/history/
        admin/proposals/attestation/
        admin/proposals/attestation/<path:object_id>/change/
        admin/proposals/breaker/
        admin/proposals/breaker/<path:object_id>/change/
        admin/proposals/check/
        admin/proposals/check/<path:object_id>/change/
        admin/proposals/check/<path:object_id>/history/
        admin/proposals/evidence/
        admin/proposals/evidence/<path:object_id>/change/
        admin/proposals/exchange/
        admin/proposals/exchange/<path:object_id>/change/
        admin/proposals/execution/
        admin/proposals/execution/<path:object_id>/change/
        admin/proposals/execution/<path:object_id>/history/
        admin/proposals/freeze/
        admin/proposals/freeze/<path:object_id>/change/
        admin/proposals/freeze/<path:object_id>/history/
        admin/proposals/grant/
        admin/proposals/grant/<path:object_id>/change/
        admin/proposals/grant/<path:object_id>/history/
        admin/proposals/grant/^([^/]+)/history/([^/]+)/$
        admin/proposals/proposal/
        admin/proposals/proposal/<path:object_id>/change/
        admin/proposals/proposal/<path:object_id>/history/
        admin/proposals/review/
        admin/proposals/review/<path:object_id>/change/
        admin/proposals/review/<path:object_id>/history/
        admin/proposals/revision/
        admin/proposals/revision/<path:object_id>/change/
        admin/proposals/revision/<path:object_id>/history/
        admin/proposals/rule/
        admin/proposals/rule/<path:object_id>/change/
        admin/proposals/rule/<path:object_id>/history/
        admin/proposals/rule/^([^/]+)/history/([^/]+)/$
        admin/proposals/run/
        admin/proposals/run/<path:object_id>/change/
        admin/proposals/run/<path:object_id>/history/
    """,
    "RSOPw": r"""
        admin/proposals/agent/<uuid:agent_id>/suspend/
        admin/proposals/freeze/set/
    """,
    "O": r"""
        admin/proposals/agent/<uuid:agent_id>/resume/
        admin/proposals/agenttoken/<int:token_id>/revoke/
        admin/proposals/freeze/<int:freeze_id>/lift/
    """,
    "OA": r"""
        admin/proposals/agenttoken/
        admin/proposals/agenttoken/<path:object_id>/change/
        admin/proposals/agenttoken/<path:object_id>/history/
    """,
    "P": r"""
        admin/budgets/budget/add/
        admin/proposals/agent/add/
        admin/proposals/rule/add/
    """,
    "A": r"""
        admin/ledger/access/
        admin/ledger/access/<path:object_id>/change/
        admin/ledger/ledgerentry/
        admin/ledger/ledgerentry/<path:object_id>/change/
        admin/ledger/ledgerentry/<path:object_id>/history/
        admin/ledger/ledgerentry/count/
        admin/ledger/ledgerentry/export/
        admin/ledger/ledgerentry/suggest/
        admin/proposals/idempotencykey/
        admin/proposals/idempotencykey/<path:object_id>/change/
        admin/proposals/idempotencykey/<path:object_id>/history/
    """,
    "z": r"""
        admin/auth/group/
        admin/auth/group/<path:object_id>/change/
        admin/auth/group/<path:object_id>/history/
        admin/auth/group/add/
        admin/auth/user/
        admin/auth/user/<id>/password/
        admin/auth/user/<path:object_id>/change/
        admin/auth/user/<path:object_id>/history/
        admin/auth/user/add/
    """,
    "": r"""
        admin/auth/group/<path:object_id>/delete/
        admin/auth/user/<path:object_id>/delete/
        admin/autocomplete/
        admin/budgets/budget/<path:object_id>/delete/
        admin/budgets/refusal/<path:object_id>/delete/
        admin/budgets/refusal/add/
        admin/budgets/reservation/<path:object_id>/delete/
        admin/budgets/reservation/add/
        admin/ledger/access/<path:object_id>/delete/
        admin/ledger/access/add/
        admin/ledger/ledgerentry/<path:object_id>/delete/
        admin/ledger/ledgerentry/add/
        admin/proposals/agent/<path:object_id>/delete/
        admin/proposals/agenttoken/<path:object_id>/delete/
        admin/proposals/agenttoken/add/
        admin/proposals/attestation/<path:object_id>/delete/
        admin/proposals/attestation/add/
        admin/proposals/breaker/<path:object_id>/delete/
        admin/proposals/breaker/add/
        admin/proposals/check/<path:object_id>/delete/
        admin/proposals/check/add/
        admin/proposals/evidence/<path:object_id>/delete/
        admin/proposals/evidence/add/
        admin/proposals/exchange/<path:object_id>/delete/
        admin/proposals/exchange/add/
        admin/proposals/execution/<path:object_id>/delete/
        admin/proposals/execution/add/
        admin/proposals/freeze/<path:object_id>/delete/
        admin/proposals/freeze/add/
        admin/proposals/grant/<path:object_id>/delete/
        admin/proposals/grant/add/
        admin/proposals/idempotencykey/<path:object_id>/delete/
        admin/proposals/idempotencykey/add/
        admin/proposals/proposal/<path:object_id>/delete/
        admin/proposals/proposal/add/
        admin/proposals/review/<path:object_id>/delete/
        admin/proposals/review/add/
        admin/proposals/revision/<path:object_id>/delete/
        admin/proposals/revision/add/
        admin/proposals/rule/<path:object_id>/delete/
        admin/proposals/run/<path:object_id>/delete/
        admin/proposals/run/add/
    """,
}


class TestEveryPage:
    @pytest.fixture
    def scene(self, toybox):
        defaults.ensure_budgets()
        return Scene(toybox)

    @pytest.fixture(autouse=True)
    def _unwritten(self, monkeypatch):
        """Whom a page is for is settled before it is written, and writing is most of the work."""
        monkeypatch.setattr(SimpleTemplateResponse, "rendered_content", "")
        monkeypatch.setattr("django.shortcuts.loader.render_to_string", lambda *_, **__: "")

    @pytest.fixture
    def browsers(self, scene):
        people = {
            letter: make_person(f"person-{letter.lower()}", groups=groups, is_staff=True)
            for letter, groups in GROUPS.items()
        }
        owner = scene.agent.owner
        owner.is_staff = True
        owner.save()
        boss = make_person("boss", groups=(), is_staff=True, is_superuser=True)
        browsers = {}
        for letter, person in (people | {"w": owner, "z": boss}).items():
            browsers[letter] = Client(raise_request_exception=False)
            browsers[letter].force_login(person)
        return browsers

    @pytest.mark.parametrize("part", ["console", "admin"])
    def test_opens_for_exactly_whom_it_is_for(self, part, scene, browsers):
        table = CONSOLE if part == "console" else ADMINISTRATION
        routes = {one for one in of(PEOPLE) if one.startswith(ADMIN) == (part == "admin")}
        expected = {route: who for who, routes in table.items() for route in routes.split()}
        expected = {("" if route == "(queue)" else route): who for route, who in expected.items()}
        wrong = []
        for route in sorted(routes - {"sign-out/", "admin/logout/"}):
            found = opens_for(browsers, scene.addresses(route)[0])
            if found != expected.get(route):
                wrong.append(f"{route}: opens for {found}, not for {expected.get(route)}")
        assert not wrong, "\n".join(wrong)
        assert set(expected) <= routes, "Addresses that are no more."


def opens_for(browsers, address) -> str:
    return "".join(letter for letter in EVERYBODY if is_open(browsers[letter], address))


def is_open(browser, address) -> bool:
    """Whether the page answers this person, if only with "not there", or takes its form."""
    answer = browser.get(address)
    if answer.status_code == 405:
        with transaction.atomic():
            answer = browser.post(address, {})
            transaction.set_rollback(True)
    assert answer.status_code < 500, address
    return answer.status_code != 403 and "login" not in answer.get("Location", "")
