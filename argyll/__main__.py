"""`python -m argyll` is the `argyll` command."""

from argyll.cli import main

if __name__ == "__main__":
    main()
