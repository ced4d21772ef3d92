"""The server inside a Python instance. Standard library only; imports its own modules relatively,
because it runs as `plat_runtime` in images that have no package `runtimes`."""
