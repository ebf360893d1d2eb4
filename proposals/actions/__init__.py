"""The actions that ship with the product. Importing this package registers them.

The table files are read here, so that a mistake in one stops the start and not a write.
"""

from proposals.actions import records, tables

__all__ = ["records"]

tables.tables()
