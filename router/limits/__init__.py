"""How often a call is taken: tokens that this router has leased, from the pool or from Redis."""
