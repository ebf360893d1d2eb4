#!/usr/bin/env python
"""Django's command line for Countersign."""

import os
import sys
from importlib import import_module


def main() -> None:
    """Run the command. What the operator has to mend ends in one sentence, with status 1."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "approvals_site.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from django.db import DatabaseError

    try:
        # Now, because some of Django's commands would go on without any.
        import_module(os.environ["DJANGO_SETTINGS_MODULE"])
        execute_from_command_line(sys.argv)
    except (ImproperlyConfigured, DatabaseError) as error:
        said = sentence(error)
        if not said or "--traceback" in sys.argv:
            raise
        sys.exit(said)  # to stderr


def sentence(error: Exception) -> str:
    """What the operator has to mend; empty for a fault of the product."""
    from django.db import DatabaseError

    if not isinstance(error, DatabaseError):
        return str(error)
    from proposals.management.databases import trouble

    return trouble(error)


if __name__ == "__main__":
    main()
