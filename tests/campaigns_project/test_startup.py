"""Settings that make no sense, and servers that would break a promise, end every program with sentences."""

import gc
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.conf import settings

from campaigns_project import garbage, server_checks, startup, web_config
from campaigns_project.server_checks import Problem
from tests.judged_settings import judged
from tools.local.ports import free_ports
from tools.local.project import read_procfile, with_programs

ROOT = Path(settings.BASE_DIR)
# Any text without a line break may stand there.
FREE = {"DATA_DIR", "METRICS_TOKEN", "REDIS_PREFIX", "SIP_SPEECH_LANGUAGE"}
# One program for each way into the settings.
PROGRAMS = {
    "manage.py": "python manage.py check",
    "celery": "celery --quiet --app campaigns_project worker --queues control",
    "beat": "celery --quiet --app campaigns_project beat",
    "gunicorn": "web",
}


@pytest.mark.parametrize("name", sorted(settings.DECLARED))
@pytest.mark.parametrize("given", ["a\nb", "{‽ no value of any kind"])
def test_a_bad_value_of_any_setting_is_a_sentence(name, given):
    if "\n" not in given and name in FREE:
        pytest.skip("any text may stand there")
    said = judged(**{name: given})
    lines = said.splitlines()
    assert lines[0] == "Trunkline can't start: a setting is wrong."
    assert len(lines) == 2
    assert re.fullmatch(rf"  {name} is .+: it must be .+\. .+", lines[1]), lines[1]


def test_an_empty_value_of_any_setting_is_as_good_as_none():
    assert judged(**dict.fromkeys(settings.DECLARED, "")) == ""
    assert judged(**dict.fromkeys(set(settings.DECLARED) - {"SECRET_KEY"}, "  ")) == ""


@pytest.mark.parametrize(("name", "command"), PROGRAMS.items())
def test_every_program_ends_with_all_that_is_wrong_and_no_traceback(name, command):
    command = read_procfile()["web"] if command == "web" else command
    wrong = {"WEB_PORT": "http", "PUBLIC_URL": "calls.example.com", "REDIS_URL": "redis://:hunter2@h:port/0"}
    run = subprocess.run(
        f"exec {command.removeprefix('exec ')}",
        shell=True,
        cwd=ROOT,
        env=with_programs(os.environ | wrong),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = run.stdout + run.stderr
    assert run.returncode == 78, said
    assert "Traceback" not in said
    assert "hunter2" not in said
    assert "3 settings are wrong" in said
    assert [setting for setting in wrong if f"  {setting} is '" in said] == list(wrong)


def test_every_process_is_started_by_one_of_these_programs():
    ways = (
        "exec gunicorn campaigns_project.wsgi --config python:campaigns_project.web_config ",
        "exec python manage.py ",
        "exec celery --quiet --app campaigns_project ",
        "exec python -m campaigns_project.flower ",  # Celery's command
        "exec python -m sandbox ",  # reads no settings
    )
    commands = [re.sub(r"^exec nice -n \d+ ", "exec ", command) for command in read_procfile().values()]
    assert not [command for command in commands if not command.startswith(ways)]


def wrong_server(*, stops_start: bool) -> Problem:
    return Problem("database", "the encoding is LATIN1: make another", stops_start)


def test_a_server_that_would_break_a_promise_ends_the_process(monkeypatch, capsys):
    monkeypatch.setattr(server_checks, "at_start", lambda: [wrong_server(stops_start=True)])
    with pytest.raises(SystemExit) as ended:
        startup.require_servers()
    assert ended.value.code == 69
    assert capsys.readouterr().err == "Trunkline can't start:\n  the encoding is LATIN1: make another.\n"


def test_a_lesser_problem_ends_nothing(monkeypatch, capsys):
    monkeypatch.setattr(server_checks, "at_start", lambda: [wrong_server(stops_start=False)])
    startup.require_servers()


# What each way of starting ends with on a database without tables: the one that the tests' own are copied beside.
STARTS = {
    "control": 69,
    "beat": 69,
    "events": 69,
    "web": 3,
}


@pytest.mark.parametrize(("process", "status"), STARTS.items())
def test_no_process_begins_to_work_on_a_database_without_tables(process, status):
    [port] = free_ports(1)
    own = {"WEB_PORT": str(port), "EVENTS_PORT": str(port), "WEB_WORKERS": "1"}
    run = subprocess.run(
        read_procfile()[process],
        shell=True,
        cwd=ROOT,
        env=with_programs(os.environ | own),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = run.stdout + run.stderr
    assert run.returncode == status, said
    assert re.search(r"Trunkline can't start:\n  migrations have not been run: manage.py prepare\.", said)
    assert "Traceback" not in said


@pytest.mark.parametrize(("age", "asks"), [(1, True), (2, True), (3, False)])
def test_a_web_worker_that_takes_the_place_of_another_asks_nothing(monkeypatch, age, asks):
    """A new version may lie there before its migrations have run: gunicorn would end the old workers, too."""
    asked: list[int] = []
    monkeypatch.setattr(startup, "require_servers", asked.append)
    monkeypatch.setattr(gc, "freeze", lambda: None)
    web_config.post_worker_init(SimpleNamespace(age=age, cfg=SimpleNamespace(workers=2)))
    assert bool(asked) == asks


def test_searches_for_cycles_leave_out_what_a_web_worker_has_loaded(monkeypatch):
    """A full one takes a tenth of a second, in the middle of a request."""
    done: list[str] = []
    monkeypatch.setattr(gc, "collect", lambda: done.append("collect"))
    monkeypatch.setattr(gc, "freeze", lambda: done.append("freeze"))
    thresholds: list[tuple[int, ...]] = []
    monkeypatch.setattr(gc, "set_threshold", lambda *given: thresholds.append(given))
    web_config.post_worker_init(SimpleNamespace(age=3, cfg=SimpleNamespace(workers=2)))
    assert done == ["collect", "freeze"]
    assert thresholds == [garbage.OFTEN]
    assert "api.campaigns.views" in sys.modules
