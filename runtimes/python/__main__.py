"""Start the runtime: `python <folder>`, or this file by its path. The environment says the rest."""

import importlib
import sys

if __name__ == "__main__":
    main = importlib.import_module("plat_runtime.main").main
    del sys.path[0]  # this folder: a function's `import template` must not find ours
    if "fork-server" in sys.argv[1:]:
        importlib.import_module("plat_runtime.fork_server").serve()  # it returns in each child
    main()
