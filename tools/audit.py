"""`make audit`: no dependency has a known vulnerability, as far as pip-audit's data can be reached.

Without a network, or behind a mirror that has packages but no such data (it answers 404, which pip-audit takes for
success), nothing was checked: that is said, and is no failure. A vulnerability is one, and so is a fault of ours.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# Seconds for some 130 questions one after another: ten where each is answered.
PATIENCE = 60
COMMAND = [
    *(sys.executable, "-m", "pip_audit", "--requirement", str(ROOT / "constraints.txt"), "--no-deps", "--disable-pip"),
    *("--format", "json", "--progress-spinner", "off", "--timeout", "5"),
]
# What pip-audit ends with when it was the data that failed it, and not the list of packages.
UNREACHABLE = ("requests.exceptions.", "ConnectionError", "ServiceError", "your network may be blocking")


def main() -> int:
    try:
        run = subprocess.run(COMMAND, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return _skipped()
    return judge(run.stdout, run.stderr)


def judge(output: str, errors: str) -> int:
    """The exit status, after saying what pip-audit has found."""
    try:
        packages: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except (ValueError, KeyError):
        if any(sign in errors for sign in UNREACHABLE):
            return _skipped()
        print(f"pip-audit failed:\n{errors}", file=sys.stderr)
        return 1
    unknown = [package["name"] for package in packages if "vulns" not in package]
    if len(unknown) == len(packages):
        return _skipped()
    found = [_described(package, each) for package in packages for each in package.get("vulns", ())]
    print("\n".join(found) or f"pip-audit: no known vulnerability in {len(packages) - len(unknown)} packages")
    if unknown:
        print(f"pip-audit: there is no data on {', '.join(unknown)}")
    return 1 if found else 0


def _skipped() -> int:
    print("pip-audit: skipped, its data can't be reached")
    return 0


def _described(package: dict[str, Any], vulnerability: dict[str, Any]) -> str:
    fixed = " or ".join(vulnerability["fix_versions"]) or "no version yet"
    return f"pip-audit: {package['name']} {package['version']} has {vulnerability['id']}; fixed in {fixed}"


if __name__ == "__main__":
    sys.exit(main())
