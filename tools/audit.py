"""`make audit`: no dependency has a known vulnerability, as far as pip-audit's data can be reached.

Without a network, or behind a mirror that has packages but no such data (it responds 404, which pip-audit counts as
success), it says "not checked" and passes. A vulnerability fails, and so does an error of this project.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# Seconds for some 130 requests one after another, which take ten when the data can be reached.
PATIENCE = 60
COMMAND = [
    *(sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip"),
    *("--requirement", str(ROOT / "requirements-dev.lock"), "--requirement", str(ROOT / "requirements-venv.lock")),
    *("--format", "json", "--progress-spinner", "off", "--timeout", "5"),
]
# Parts of pip-audit's last words when it could not reach the data; other failures are about the list of packages.
UNREACHABLE = ("requests.exceptions.", "ConnectionError", "ServiceError", "your network may be blocking")


def main() -> int:
    try:
        run = subprocess.run(COMMAND, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return _not_checked()
    return judge(run.stdout, run.stderr)


def judge(output: str, errors: str) -> int:
    """Print what pip-audit has found; returns the exit code."""
    try:
        packages: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except (ValueError, KeyError):
        if any(sign in errors for sign in UNREACHABLE):
            return _not_checked()
        print(f"pip-audit failed:\n{errors}", file=sys.stderr)
        return 1
    unknown = [package["name"] for package in packages if "vulns" not in package]
    if len(unknown) == len(packages):
        return _not_checked()
    found = [_described(package, vulnerability) for package in packages for vulnerability in package.get("vulns", ())]
    print("\n".join(found) or f"pip-audit: no known vulnerability in {len(packages) - len(unknown)} packages")
    if unknown:
        print(f"pip-audit: there is no data on {', '.join(unknown)}")
    return 1 if found else 0


def _not_checked() -> int:
    print("pip-audit: not checked, its data can't be reached")
    return 0


def _described(package: dict[str, Any], vulnerability: dict[str, Any]) -> str:
    fixed = " or ".join(vulnerability["fix_versions"]) or "no version yet"
    return f"pip-audit: {package['name']} {package['version']} has {vulnerability['id']}; fixed in {fixed}"


if __name__ == "__main__":
    sys.exit(main())
