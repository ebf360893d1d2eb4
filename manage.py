#!/usr/bin/env python
"""Django's command line for Countersign."""

import os
import sys
from importlib import import_module

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "approvals_site.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        # Now, because some of Django's commands would go on without any.
        import_module(os.environ["DJANGO_SETTINGS_MODULE"])
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as reason:
        if "--traceback" in sys.argv:
            raise
        sys.exit(str(reason))  # to stderr, with status 1
