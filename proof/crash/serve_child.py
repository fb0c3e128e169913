"""``dockgate serve``, whose database takes in its WAL after fewer pages: what else is rare happens all the time.

Arguments: the number of pages, then those of ``dockgate``.
"""

from __future__ import annotations

import sys

from gateway import cli
from gateway.store import connection


def main(pages: int) -> int:
    pragmas: tuple[str, ...] = vars(connection)["_PRAGMAS"]
    vars(connection)["_PRAGMAS"] = (*pragmas, f"wal_autocheckpoint={pages}")
    return cli.main()


if __name__ == "__main__":
    sys.argv[1:2], number = [], sys.argv[1]
    sys.exit(main(int(number)))
