"""Calls with an idempotency key: executed once, over all routers, whoever is killed."""
