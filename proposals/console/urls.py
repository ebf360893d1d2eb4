"""Addresses of the people's pages. Nouns, with a final verb for what a person does."""

from django.urls import include, path

from proposals.console import (
    databases,
    explaining,
    lowering,
    notifications,
    rule_pages,
    run_undo,
    runs,
    stopping,
    table_pages,
    views,
)

urlpatterns = [
    path("", views.queue, name="queue"),
    path("", include("proposals.console.people_urls")),
    path("recent/", views.recent, name="recent"),
    path("budgets/", views.budgets_page, name="budgets"),
    path("budgets/<int:budget_id>/lower/", lowering.lower, name="lower-budget"),
    path("stop/", stopping.stop, name="stop"),
    path("stop/freeze/", stopping.freeze, name="freeze"),
    path("stop/lift/", stopping.lift, name="lift"),
    path("stop/suspend/", stopping.suspend, name="suspend"),
    path("stop/resume/", stopping.resume, name="resume"),
    path("runs/", runs.runs, name="runs"),
    path("runs/<int:run_id>/", runs.run, name="run"),
    path("runs/<int:run_id>/undo/", run_undo.undo_run, name="undo-run"),
    path("runs/<int:run_id>/undo/<uuid:undoing_id>/", run_undo.undoing, name="run-undoing"),
    path("rules/", rule_pages.rules, name="rules"),
    path("rules/<int:rule_id>/try/", rule_pages.try_rule, name="try-rule"),
    path("proposals/<uuid:proposal_id>/allow/", rule_pages.always_allow, name="always-allow"),
    path("databases/", databases.databases, name="databases"),
    path("databases/add/", databases.connect, name="database-add"),
    path("databases/<slug:name>/", databases.database, name="database"),
    path("databases/<slug:name>/test/", databases.test, name="database-test"),
    path("databases/<slug:name>/change/", databases.change, name="database-change"),
    path("databases/<slug:name>/switch/", databases.switch, name="database-switch"),
    path("databases/<slug:name>/tables/", table_pages.tables, name="database-tables"),
    path("databases/<slug:name>/tables/<slug:table>/", table_pages.table, name="table"),
    path(
        "databases/<slug:name>/tables/<slug:table>/switch/",
        table_pages.switch,
        name="table-switch",
    ),
    path("notifications/", notifications.notifications, name="notifications"),
    path("notifications/webhooks/", notifications.webhooks, name="webhooks"),
    path("notifications/webhooks/new/", notifications.webhook, name="new-webhook"),
    path("notifications/webhooks/<int:webhook_id>/", notifications.webhook, name="webhook"),
    path(
        "notifications/webhooks/<int:webhook_id>/switch/",
        notifications.switch,
        name="switch-webhook",
    ),
    path(
        "notifications/webhooks/<int:webhook_id>/test/", notifications.try_out, name="test-webhook"
    ),
    path("help/", views.help_page, name="help"),
    path("proposals/<uuid:proposal_id>/", views.proposal, name="proposal"),
    path("proposals/<uuid:proposal_id>/explain/", explaining.explain, name="explain"),
    path("proposals/<uuid:proposal_id>/decide/", views.decide, name="decide"),
    path("proposals/<uuid:proposal_id>/undo/", views.undo, name="undo"),
    path("proposals/<uuid:proposal_id>/retry/", views.retry, name="retry"),
    path("proposals/<uuid:proposal_id>/reconcile/", views.reconcile, name="reconcile"),
]
