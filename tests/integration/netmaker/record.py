# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Record the real server's answers anew: NETMAKER_BINARY=… python -m tests.integration.netmaker.record (as root)."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from tests.integration.netmaker.conversation import record
from tests.integration.netmaker.servers import REAL, running

DIRECTORY = Path(__file__).resolve().parents[2] / "unit/netmaker/recorded"


def main() -> int:
    if not os.environ.get("NETMAKER_BINARY"):
        print("NETMAKER_BINARY must name the real server's program", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as scratch, running(REAL, Path(scratch)) as server:
        version = server.call("GET", "/api/server/status").body["version"]
        recorded = record(server)
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    for subject, calls in recorded.items():
        text = json.dumps({"version": version, "calls": calls}, indent=1, ensure_ascii=False)
        (DIRECTORY / f"{subject}.json").write_text(text + "\n")
    print(f"recorded {version} in {DIRECTORY}: {', '.join(sorted(recorded))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
