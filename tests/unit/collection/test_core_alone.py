# Copyright: op-dbus maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The core and the drivers serve without Ansible and without anything beyond Python's standard library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
UTILS = ROOT / "plugins" / "module_utils"
PACKAGE = "ansible_collections.op_dbus.socket_network.plugins.module_utils"
FRAME = UTILS / "_module.py"

# Runs with -S, so that no site-packages are on the path, and refuses Ansible by name should it come from elsewhere.
PROGRAM = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "ansible":
            raise ImportError(f"{name} was imported")

sys.meta_path.insert(0, Refuse())
sys.path.insert(0, sys.argv[1])
__import__(sys.argv[2])
foreign = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
print(sorted(foreign - {"ansible_collections", "__main__", "sitecustomize", "usercustomize"}))
"""


def dotted(path: Path) -> str:
    parts = path.relative_to(UTILS).with_suffix("").parts
    return ".".join([PACKAGE, *(part for part in parts if part != "__init__")])


def imported_alone(tree: Path, module: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", PROGRAM, str(tree), module],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("path", sorted(set(UTILS.rglob("*.py")) - {FRAME}), ids=dotted)
def test_module_needs_the_standard_library_only(path: Path) -> None:
    done = imported_alone(ROOT / ".collections", dotted(path))
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


@pytest.mark.parametrize("statement", ["import ansible.module_utils.basic", "import yaml"])
def test_the_check_itself_notices_a_foreign_import(tmp_path: Path, statement: str) -> None:
    (tmp_path / "sample.py").write_text(f"{statement}\n")
    assert imported_alone(tmp_path, "sample").returncode != 0
