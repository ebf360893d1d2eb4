"""The product's settings, with leases that end while somebody watches (`leases`)."""

import os

from approvals_site.settings import *  # noqa: F403

EXECUTION_LEASE_SECONDS = int(os.environ["SHORT_LEASE_SECONDS"])
