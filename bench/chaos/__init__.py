"""The chaos harness: kills, pauses and starves the product, and counts what became of its promises.

`crashes` and `pauses` fork workers that run the product's own code on a real target and end them at
the points that `proposals.crashpoints` names. `infrastructure` does it to whole processes, to
PostgreSQL and to Redis. `checker` reads the two databases and nothing else.
"""
