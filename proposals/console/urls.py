"""Addresses of the people's pages. Nouns, with a final verb for what a person does."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from proposals.console import agents, stopping, views
from proposals.console.forms import SignIn

urlpatterns = [
    path("", views.queue, name="queue"),
    path(
        "sign-in/",
        LoginView.as_view(authentication_form=SignIn, redirect_authenticated_user=True),
        name="sign-in",
    ),
    path("sign-out/", LogoutView.as_view(), name="sign-out"),
    path("recent/", views.recent, name="recent"),
    path("agents/", agents.agents, name="agents"),
    path("agents/new/", agents.new_agent, name="new-agent"),
    path("agents/<uuid:agent_id>/", agents.agent, name="agent"),
    path("agents/<uuid:agent_id>/grants/", agents.grants, name="grants"),
    path("agents/<uuid:agent_id>/grants/remove/", agents.remove_grant, name="remove-grant"),
    path("agents/<uuid:agent_id>/observed/", agents.observed, name="observed"),
    path("agents/<uuid:agent_id>/observe/", agents.observe, name="observe"),
    path("agents/<uuid:agent_id>/let-go/", agents.let_go, name="let-go"),
    path("agents/<uuid:agent_id>/suspend/", agents.suspend_agent, name="suspend-agent"),
    path("agents/<uuid:agent_id>/resume/", agents.resume_agent, name="resume-agent"),
    path("agents/<uuid:agent_id>/tokens/issue/", agents.issue_token, name="issue-token"),
    path("agents/<uuid:agent_id>/tokens/rotate/", agents.rotate_token, name="rotate-token"),
    path("agents/<uuid:agent_id>/tokens/revoke/", agents.revoke_token, name="revoke-token"),
    path("budgets/", views.budgets_page, name="budgets"),
    path("stop/", stopping.stop, name="stop"),
    path("stop/freeze/", stopping.freeze, name="freeze"),
    path("stop/lift/", stopping.lift, name="lift"),
    path("stop/suspend/", stopping.suspend, name="suspend"),
    path("stop/resume/", stopping.resume, name="resume"),
    path("help/", views.help_page, name="help"),
    path("proposals/<uuid:proposal_id>/", views.proposal, name="proposal"),
    path("proposals/<uuid:proposal_id>/decide/", views.decide, name="decide"),
    path("proposals/<uuid:proposal_id>/undo/", views.undo, name="undo"),
    path("proposals/<uuid:proposal_id>/retry/", views.retry, name="retry"),
    path("proposals/<uuid:proposal_id>/reconcile/", views.reconcile, name="reconcile"),
]
