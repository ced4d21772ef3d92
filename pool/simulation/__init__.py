"""Recorded calls through the pool's own decisions, without platform and clock (`plat simulate`)."""
