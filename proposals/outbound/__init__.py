"""The one way out over HTTP: to an address that was examined, once, and following nobody.

`addresses` says where a request may go, `client` makes one exchange and says what is known of it.
"""
