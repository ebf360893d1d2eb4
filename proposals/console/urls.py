"""Addresses of the people's pages. Nouns, with a final verb for what a person does."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from proposals.console import preferences, pulse, searching, stopping, views
from proposals.console.forms import SignIn

urlpatterns = [
    path("", views.queue, name="queue"),
    path(
        "sign-in/",
        LoginView.as_view(authentication_form=SignIn, redirect_authenticated_user=True),
        name="sign-in",
    ),
    path("sign-out/", LogoutView.as_view(), name="sign-out"),
    path("summary/", views.list_summary, name="list-summary"),
    path("pulse/", pulse.pulse, name="pulse"),
    path("search/", searching.search, name="search"),
    path("preferences/", preferences.preferences, name="preferences"),
    path("recent/", views.recent, name="recent"),
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
