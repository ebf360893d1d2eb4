"""The actions that ship with the product. Importing this package registers them.

The table files are read here, so that a mistake in one stops the start and not a write.
"""

from proposals.actions import email, records, tables

__all__ = ["email", "records"]

tables.tables()
