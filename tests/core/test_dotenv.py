"""`.env` is read as it stands, and by one reader."""

from pathlib import Path

import pytest

from core import dotenv
from tools.local.project import operator_environment

# What has a meaning in a shell, in django-environ's reader or in honcho's, and none here.
AWKWARD = {
    "SECRET_KEY='$k8v#x\\ny'": "$k8v#x\\ny",
    "SECRET_KEY=$k8vAbc": "$k8vAbc",
    "SECRET_KEY=abc#def": "abc#def",
    "SECRET_KEY=abc #def": "abc #def",
    'SECRET_KEY="abc" ': "abc",
    'SECRET_KEY="  abc  "': "  abc  ",
    "SECRET_KEY=  abc\\": "abc\\",
    "SECRET_KEY=a\\nb\\tc": "a\\nb\\tc",
    "SECRET_KEY=it's": "it's",
    "SECRET_KEY='it's'": "it's",
    "SECRET_KEY='a\"b'": 'a"b',
    "SECRET_KEY=a=b==": "a=b==",
    "SECRET_KEY=${HOME}%(x)s{y}": "${HOME}%(x)s{y}",
    "export SECRET_KEY = abc": "abc",
    "SECRET_KEY=": "",
    "SECRET_KEY=''": "",
    "SECRET_KEY=пароль": "пароль",
    "SECRET_KEY=a\u2028b": "a\u2028b",
    "SECRET_KEY=first\nSECRET_KEY=second": "second",
    "\ufeffSECRET_KEY=abc\r": "abc",
}


@pytest.mark.parametrize(("line", "value"), AWKWARD.items())
def test_a_value_is_what_stands_there_for_settings_and_for_make_up(tmp_path: Path, monkeypatch, line, value):
    monkeypatch.delenv("SECRET_KEY", raising=False)
    (tmp_path / ".env").write_bytes(f"{line}\n\n# SECRET_KEY=no\n".encode())
    environment: dict[str, str] = {}
    dotenv.load(tmp_path / ".env", environment)
    assert environment == {"SECRET_KEY": value}
    assert operator_environment(tmp_path)["SECRET_KEY"] == value


def test_the_environment_wins_over_the_file_even_with_an_empty_value(tmp_path: Path):
    (tmp_path / ".env").write_text("A=file\nB=file\nC=file\n")
    environment = {"A": "given", "B": ""}
    dotenv.load(tmp_path / ".env", environment)
    assert environment == {"A": "given", "B": "", "C": "file"}


def test_without_a_file_nothing_is_added(tmp_path: Path):
    assert dotenv.read(tmp_path / ".env") == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A=1\nhunter2\n", "line 2, is neither NAME=value nor a comment"),
        ("1A=hunter2", "line 1, is neither NAME=value"),
        ("A-B=hunter2", "line 1, is neither NAME=value"),
        ("A=1\n\nB='hunter2", "line 3: the value of B begins with ' and does not end with it"),
        ("B='hunter2' # a comment", "line 1: the value of B begins with '"),
        ('B="', 'line 1: the value of B begins with "'),
        ("B=hunter2\0", "line 1: the value of B has a NUL character"),
    ],
)
def test_a_line_that_can_not_be_meant_is_named_without_its_value(tmp_path: Path, text, words):
    (tmp_path / ".env").write_text(text)
    with pytest.raises(dotenv.DotenvError) as refused:
        dotenv.read(tmp_path / ".env")
    assert words in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_file_that_is_not_utf_8_is_named_with_the_line(tmp_path: Path):
    (tmp_path / ".env").write_bytes(b"A=1\nB=\xff\n")
    with pytest.raises(dotenv.DotenvError, match=r"line 2, is not UTF-8"):
        dotenv.read(tmp_path / ".env")


def test_a_folder_in_its_place_is_a_sentence(tmp_path: Path):
    (tmp_path / ".env").mkdir()
    with pytest.raises(dotenv.DotenvError, match=r"\.env can't be read \(Is a directory\)"):
        dotenv.read(tmp_path / ".env")


def test_no_other_reader_is_used():
    programs = [path for folder in ("campaigns_project", "core", "tools") for path in Path(folder).rglob("*.py")]
    others = ("honcho.environ import parse as", "read_env(", "load_dotenv", "parse_env(")
    assert len(programs) > 50
    assert not [str(path) for path in programs if any(other in path.read_text() for other in others)]


def test_the_names_in_the_file_are_told_whoever_wins(tmp_path: Path):
    (tmp_path / ".env").write_text("A=file\nB=file\n")
    assert set(dotenv.load(tmp_path / ".env", {"A": "given"})) == {"A", "B"}
