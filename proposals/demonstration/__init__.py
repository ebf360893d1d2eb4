"""A shop to try the product on, with its people, its agent and its rules. Never in production."""
