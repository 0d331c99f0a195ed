"""`make release-check` does what the guide says, and upgrades from the version before."""

import subprocess
from pathlib import Path

import pytest

from tools import release_check
from tools.local.project import PROJECT
from tools.release_check import INSTALL, UPGRADE, Machine, ReleaseFailed, Version

pytestmark = pytest.mark.skipif(not (PROJECT / ".git").exists(), reason="an archive has no history to publish from")


def test_the_commands_are_those_of_the_guide():
    assert [command.split()[0] for command in release_check.guide(INSTALL)] == ["tar", "make", "ln"]
    assert [command.split()[0] for command in release_check.guide(UPGRADE)] == ["tar", "make", "cp", "ln"]


def test_a_guide_without_them_is_a_failure():
    with pytest.raises(ReleaseFailed, match="no commands after 'Some words'"):
        release_check.guide("Some words")


def test_they_are_followed_side_by_side_and_back_by_the_link(tmp_path: Path):
    """But for `make`, which installs for a minute."""
    machine = Machine(tmp_path, ())
    install, upgrade = ([step for step in release_check.guide(of) if step[:5] != "make "] for of in (INSTALL, UPGRADE))
    old, new = Version("HEAD", "0.9.0-before"), Version("HEAD", "0.9.0")
    machine.publish(old)
    machine.follow(install, old)
    assert machine.link.resolve() == tmp_path / "opt" / "trunkline-0.9.0-before"
    (machine.link / ".env").write_text("A=1\n")
    machine.publish(new)
    machine.follow(upgrade, new)
    assert machine.link.resolve() == tmp_path / "opt" / "trunkline-0.9.0"
    assert (machine.link / ".env").read_text() == "A=1\n"
    assert (machine.link / "manage.py").exists()
    machine.follow(upgrade[-1:], old)
    assert machine.link.resolve() == tmp_path / "opt" / "trunkline-0.9.0-before"


def test_a_command_that_fails_is_named_with_its_words(tmp_path: Path):
    machine = Machine(tmp_path, ())
    (tmp_path / "root").mkdir()
    with pytest.raises(ReleaseFailed, match=r"umask 022; tar --nothing` failed:(.|\n)*unrecognized option"):
        machine.follow(["tar --nothing"], Version("HEAD", "0.9.0"))


def test_the_version_before_is_the_last_tag_that_is_a_versions_and_not_this_ones(tmp_path: Path, monkeypatch):
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    monkeypatch.setattr(release_check, "PROJECT", tmp_path)
    git("init")
    git("commit", "--allow-empty", "--message", "one")
    assert release_check.last_tag() == ""
    git("tag", "v0.1.0")
    git("commit", "--allow-empty", "--message", "two")
    git("tag", "before-the-holidays")
    git("commit", "--allow-empty", "--message", "three")
    git("tag", "v0.2.0")
    assert release_check.last_tag() == "v0.1.0"
