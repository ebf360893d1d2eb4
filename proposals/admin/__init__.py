"""The auditors' door: everything can be browsed, little can be edited, nothing can be decided.

What agents and workers made is read-only. What people configure is saved by the same verbs that
every other door calls, so that no edit is without its ledger entry.
"""

from proposals.admin import accounts, agents, budgets, outside, records, rules, site, stopping

__all__ = ["accounts", "agents", "budgets", "outside", "records", "rules", "site", "stopping"]
