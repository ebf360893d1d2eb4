#!/usr/bin/env python
"""Django's command line for Countersign."""

import os
import sys

# Nothing was done: 1, unless that is what the command says of something that it has done.
STATUS = {"verify_ledger": 3}


def main() -> None:
    """Run the command. What the operator has to mend ends in one sentence on stderr."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "approvals_site.settings")
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from django.db import DatabaseError

    try:
        # Now, because some of Django's commands would go on without any.
        settings.INSTALLED_APPS  # noqa: B018
        execute_from_command_line(sys.argv)
    except (ImproperlyConfigured, DatabaseError) as error:
        said = sentence(error)
        if not said or "--traceback" in sys.argv:
            raise
        print(said, file=sys.stderr)
        sys.exit(STATUS.get("".join(sys.argv[1:2]), 1))


def sentence(error: Exception) -> str:
    """What the operator has to mend; empty for a fault of the product."""
    from django.db import DatabaseError

    if not isinstance(error, DatabaseError):
        return str(error)
    from proposals.management.databases import trouble

    return trouble(error)


if __name__ == "__main__":
    main()
