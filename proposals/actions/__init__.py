"""The actions that ship with the product. Importing this package registers them."""

from proposals.actions import records

__all__ = ["records"]
