import pytest
from proposals import services, execution, checks
from proposals.models import *
from tests import factories
from tests.factories import *
pytestmark=[pytest.mark.django_db, pytest.mark.usefixtures("toybox")]
def test_redo_undo_place(toybox):
    make_person("olga", groups=["operators"]); olga=make_person("olga")
    f=make_checked(); assert f.status=="committed"
    def undo(p, **k):
        u=services.undo(proposal_id=p.pk, person=olga, reason="x", **k); work(); return fresh(u)
    u1=undo(f); assert u1.status=="committed"
    r=undo(u1); assert r.status=="committed"
    u2=undo(f); assert u2.status=="committed"
    toybox.colours["bear"]="blue"
    ru=undo(r); assert ru.status=="committed"

def test_retry_undo_place(toybox):
    make_person("olga", groups=["operators"]); olga=make_person("olga")
    f=make_checked()
    toybox.failing["apply"]="refused"
    u1=services.undo(proposal_id=f.pk, person=olga, reason="x"); work()
    assert fresh(u1).status=="failed"
    u2=services.undo(proposal_id=f.pk, person=olga, reason="x")
    from proposals.exceptions import AlreadyUndone
    with pytest.raises(AlreadyUndone):
        services.retry(proposal_id=u1.pk, person=olga, reason="x")

def test_lost_grant_spins(toybox):
    p=make_checked(params=painting(tier="medium")); factories.approve(p)
    services.remove_grant(agent_id=fresh(p).agent_id, pattern="*")
    for n in range(30):
        for e in Execution.objects.open(): execution.run(e.pk)
        checks.run(p.pk)
    assert fresh(p).status=="pending", (fresh(p).status, fresh(p).generation)

def test_reconcile_aba(toybox, settings, monkeypatch):
    settings.EXECUTION_MAX_ATTEMPTS=1
    olga=make_person("olga", groups=["operators"])
    p=make_checked(params=painting(tier="medium")); factories.approve(p)
    toybox.failing["apply"]="unclear"; work(); assert fresh(p).status=="unknown"
    from tests.toys import SetColour
    void=SetColour.void; first=[]
    def slow(self, params, *, key):
        out=void(self, params, key=key)
        if not first:
            first.append(key)
            services.reconcile(proposal_id=p.pk, person=olga, reason="x")
            services.retry(proposal_id=p.pk, person=olga, reason="x"); work()
            assert fresh(p).status=="unknown"
        return out
    monkeypatch.setattr(SetColour,"void",slow)
    from proposals.exceptions import IllegalTransition
    with pytest.raises(IllegalTransition):
        services.reconcile(proposal_id=p.pk, person=olga, reason="x")
    assert fresh(p).status=="unknown"

def test_second_thoughts(toybox):
    from proposals import idempotency
    saul=make_person("saul", groups=["senior-reviewers"]); sara=make_person("sara", groups=["senior-reviewers"])
    p=make_checked(params=painting(tier="high"))
    def rev(who, what): factories.review(p, what, reviewer=who, fact="bear")
    rev(saul,"approve"); rev(saul,"request_changes")
    services.amend(agent=fresh(p).agent, proposal_id=p.pk, key=new_key(), fingerprint="x", changes={"rationale":"other words"}); work()
    rev(sara,"approve")
    assert fresh(p).status=="pending"
def test_stale_intend_under_freeze(toybox):
    p=make_checked(params=painting(tier="medium")); factories.approve(p)
    e=Execution.objects.get()
    a=execution.take(e.pk)
    from ledger import clock
    Execution.objects.update(lease_until=clock.now())
    b=execution.take(e.pk); assert b
    services.freeze(reason="stop")
    row=Proposal.objects.values_list("reason","ledger_number").get(pk=p.pk)
    assert not execution.intend(a)
    assert Proposal.objects.values_list("reason","ledger_number").get(pk=p.pk)==row
