"""``python -m mnistkit``: the command line, also where its script isn't on the path."""

import os
import sys

if __name__ == "__main__":
    # -m looks for modules in the working directory first. As the script does, import nothing from there.
    if sys.path and sys.path[0] in {"", os.getcwd()} and os.path.dirname(os.path.dirname(__file__)) != sys.path[0]:  # noqa: PTH109, PTH120 - pathlib isn't imported yet
        del sys.path[0]
    from mnistkit.cli import main

    main()
