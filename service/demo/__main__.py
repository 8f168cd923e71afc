"""`python -m service.demo` is `charter demo`."""

import sys

from service.cli.__main__ import main

if __name__ == "__main__":
    sys.argv.insert(1, "demo")
    main()
