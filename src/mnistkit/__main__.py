"""``python -m mnistkit``: the command line, also where its script isn't on the path."""

from mnistkit.cli import main

if __name__ == "__main__":
    main()
