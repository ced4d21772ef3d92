"""The Python runtime; started as `python <this folder>`, where `plat_runtime` needs nothing of ours."""
