"""The command line as ``python -m systolith``."""

from systolith_host.cli.app import main

if __name__ == "__main__":
    main()
