"""Settings by their kinds: what is allowed, what is refused, and in which words."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from core import server_urls, setting_rules
from core.environment import Environment, WrongSettings


def read(kind: str, given: str, *arguments: Any, **options: Any) -> tuple[Any, list[str]]:
    """Return what a setting X is read as, and what is wrong with it."""
    environment = Environment({"X": given})
    return getattr(environment, kind)("X", *arguments, **options), environment.problems


GOOD = [
    ("flag", "True", (False,), True),
    ("flag", " off ", (True,), False),
    ("flag", "YES", (False,), True),
    ("flag", "0", (True,), False),
    ("flag", "", (True,), True),
    ("whole", " 45 ", (1,), 45),
    ("whole", "0045", (1,), 45),
    ("whole", "   ", (7,), 7),
    ("number", "0.5", (1,), 0.5),
    ("number", "1e3", (1,), 1000.0),
    ("port", "65535", (1,), 65_535),
    ("choice", "json", ("console", ["json", "console"]), "json"),
    ("choice", "JSON", ("console", ["json", "console"]), "json"),
    ("choices", "viewer, operator,", (["viewer", "operator"],), ["viewer", "operator"]),
    (
        "hosts",
        "a.example, .b.example,[::1],::1,10.0.0.1,*",
        ([],),
        ["a.example", ".b.example", "[::1]", "[::1]", "10.0.0.1", "*"],
    ),
    ("host", "::1", (), "::1"),
    ("host", "[::1]", (), "::1"),
    ("host", "0.0.0.0", (), "0.0.0.0"),
    ("host", "web-1.internal", (), "web-1.internal"),
    ("address", "127.0.0.1:8002", (), ("127.0.0.1", 8002)),
    ("address", "[::1]:8002", (), ("::1", 8002)),
    ("address", "", (), None),
    ("web_url", "https://Calls.Example.com/", (), "https://calls.example.com"),
    ("web_url", "HTTPS://calls.example.com:8443/a/b/", (), "https://calls.example.com:8443/a/b"),
    ("web_url", "http://[::1]:8000", (), "http://[::1]:8000"),
    ("url_prefix", "/calls/", (), "/calls"),
    ("url_prefix", "/", (), ""),
    ("text", " as it stands ", (), " as it stands "),
    ("command", "espeak -v {voice} 'a b'", ("", ["voice"]), "espeak -v {voice} 'a b'"),
    ("json_object", '{"a": 1}', (), {"a": 1}),
    ("json_object", "", (), {}),
]


@pytest.mark.parametrize(("kind", "given", "arguments", "value"), GOOD)
def test_a_good_value_is_taken(kind, given, arguments, value):
    assert read(kind, given, *arguments) == (value, [])


BAD = [
    ("flag", "maybe", (False,)),
    ("flag", "2", (False,)),
    ("whole", "1.5", (3,)),
    ("whole", "1_000", (3,)),
    ("whole", "٣", (3,)),
    ("whole", "9" * 5000, (3,)),
    ("whole", "0", (3,)),
    ("whole", "11", (3, 10)),
    ("whole", "5 # five", (3,)),
    ("number", "nan", (3,)),
    ("number", "inf", (3,)),
    ("number", "-1", (3,)),
    ("number", "0", (3,)),
    ("number", "three", (3,)),
    ("number", "10m", (3,)),
    ("number_or_none", "0.5", (10, 1, "for ever")),
    ("port", "0", (1,)),
    ("port", "65536", (1,)),
    ("port", "http", (1,)),
    ("choice", "xml", ("json", ["json"])),
    ("choices", "viewer,boss", (["viewer"],)),
    ("hosts", "https://a.example", ([],)),
    ("hosts", "a.example:443", ([],)),
    ("hosts", "a.example/x", ([],)),
    ("hosts", "a b", ([],)),
    ("hosts", "[::g]", ([],)),
    ("host", "::g", ()),
    ("host", "300.1.1.1", ()),
    ("host", "[web]", ()),
    ("host", "a:80", ()),
    ("address", "8001", ()),
    ("address", "127.0.0.1", ()),
    ("address", "127.0.0.1:", ()),
    ("address", ":8001", ()),
    ("address", "127.0.0.1:0", ()),
    ("address", "127.0.0.1:65536", ()),
    ("address", "a:b", ()),
    ("address", "::1:8002", ()),
    ("web_url", "calls.example.com", ()),
    ("web_url", "ftp://calls.example.com", ()),
    ("web_url", "https://", ()),
    ("web_url", "https://a b", ()),
    ("web_url", "https://a:port", ()),
    ("web_url", "https://a:0", ()),
    ("web_url", "https://a:", ()),
    ("web_url", "https://[::1", ()),
    ("web_url", "https://a/?x=1", ()),
    ("web_url", "https://a#x", ()),
    ("web_url", "https://a/b c", ()),
    ("web_url", "https://a/..//b", ()),
    ("web_url", "https://bücher.example", ()),
    ("url_prefix", "calls", ()),
    ("url_prefix", "/a b", ()),
    ("url_prefix", "//evil.example", ()),
    ("text", "a\nb", ()),
    ("text", "key\n", ()),
    ("text", "a\udcffb", ()),
    ("command", "espeak '", ("", ["voice"])),
    ("command", "espeak {text}", ("", ["voice"])),
    ("command", "espeak {voice", ("", ["voice"])),
    ("command", "espeak {0}", ("", ["voice"])),
    ("command", "espeak {voice.a}", ("", ["voice"])),
    ("json_object", "[1]", ()),
    ("json_object", "{", ()),
    ("json_object", "[" * 100_000, ()),
    ("file", "/nowhere/ca.pem", ()),
    ("file", "/", ()),
]


@pytest.mark.parametrize(("kind", "given", "arguments"), BAD)
def test_a_bad_value_is_a_sentence_and_its_default_is_returned(kind, given, arguments):
    value, problems = read(kind, given, *arguments)
    assert value == read(kind, "", *arguments)[0]
    [problem] = problems
    assert re.fullmatch(r"X is .+: it must be .+\. .+\.", problem), problem
    assert len(problem) < 500


def test_all_that_is_wrong_is_told_at_once():
    environment = Environment({"WEB_PORT": "http", "DEBUG": "perhaps", "RINGS": "3"})
    environment.port("WEB_PORT", 8000)
    environment.flag("DEBUG", default=False)
    assert environment.whole("RINGS", 1) == 3
    with pytest.raises(WrongSettings) as wrong:
        environment.require_good()
    assert str(wrong.value).splitlines() == [
        "Trunkline can't start: 2 settings are wrong.",
        "  WEB_PORT is 'http': it must be a port number from 1 to 65535. Correct it, or leave it out for 8000.",
        "  DEBUG is 'perhaps': it must be True or False. Correct it, or leave it out for False.",
    ]


def test_good_settings_stop_nothing():
    environment = Environment({"WEB_PORT": "80"})
    environment.port("WEB_PORT", 8000)
    environment.require_good()


def test_a_secret_is_never_shown():
    environment = Environment({"X": "hunter2\n", "Y": '{"key": "hunter2"'})
    environment.text("X", is_secret=True)
    environment.json_object("Y")
    assert "hunter2" not in "".join(environment.problems)
    assert "•••• (8 characters)" in environment.problems[0]
    assert "a line break" in environment.problems[0]


# Servers -------------------------------------------------------------------------------------------------------------

KINDS = {"database": server_urls.DATABASE, "redis": server_urls.REDIS, "broker": server_urls.BROKER}


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("database", "postgresql:///trunkline"),
        ("database", "postgres://u:p%40ss@db.example:5433/calls?sslmode=verify-full&application_name=x"),
        ("database", "postgresql://u@[::1]:5432/calls"),
        ("database", "postgresql://u@a,b:5432/calls?target_session_attrs=read-write"),
        ("database", "postgresql://postgres@:5432/trunkline?host=/tmp/a%20b"),
        ("database", "postgresql://?service=calls"),
        ("database", "postgresql:///calls?sslmode=verify-full&sslrootcert=system"),
        ("database", "postgresql:///calls?CONN_MAX_AGE=0&DISABLE_SERVER_SIDE_CURSORS=True"),
        ("redis", "redis://127.0.0.1:6379/0"),
        ("redis", "redis://[::1]:6379/15"),
        ("redis", "redis://:p%40ss@r.example"),
        ("redis", "rediss://u:p@r.example:6380/0?ssl_cert_reqs=none"),
        ("redis", "rediss://r.example?ssl_cert_reqs=CERT_REQUIRED"),
        ("redis", "unix:///run/redis.sock?db=1"),
        ("broker", "redis://127.0.0.1:6379/0"),
        ("broker", "amqp://u:p@rabbit:5672//"),
        ("broker", "amqps://rabbit"),
    ],
)
def test_the_address_of_a_server_is_taken(kind, url):
    assert read("server", url, "", KINDS[kind]) == (url, [])


@pytest.mark.parametrize(
    ("kind", "url", "words"),
    [
        ("database", "sqlite:///x.db", "a PostgreSQL database"),
        ("database", "mysql://u:hunter2@db/calls", "a PostgreSQL database"),
        ("database", "db.example", "a PostgreSQL database"),
        ("database", "postgresql://u:hunter2@db", "the name of a database"),
        ("database", "postgresql://u:hunter2@db:port/calls", "a port that libpq takes"),
        ("database", "postgresql://u:hunter2@db:99999/calls", "libpq takes"),
        ("database", "postgresql://u:hunter2@db/calls?sslmod=require", "sslmod"),
        ("database", "postgresql://u:hunter2@db/calls?password=hunter2&x=1", "x is none"),
        ("database", "postgresql://u:hun/ter2@db/calls", "libpq takes"),
        ("database", "postgresql://u:%zz@db/calls", "libpq takes"),
        ("database", "postgresql://[::1/calls", "libpq takes"),
        ("database", "postgresql:///calls?connect_timeout=soon", "connect_timeout"),
        ("database", "postgresql:///calls?sslrootcert=/nowhere/ca.pem", "sslrootcert is a file"),
        ("database", "postgresql:///calls?sslkey=/", "sslkey is a file"),
        ("redis", "rediss://h/0?ssl_ca_certs=/nowhere/ca.pem", "ssl_ca_certs is a file"),
        ("database", "postgresql:///calls?sslmode=perhaps", "sslmode"),
        ("database", "postgresql:///calls?CONN_MAX_AGE=long", "CONN_MAX_AGE in whole seconds"),
        ("database", "postgresql:///calls?DISABLE_SERVER_SIDE_CURSORS=1", "as True or False"),
        ("database", "postgresql:///calls?atomic_requests=True", "ATOMIC_REQUESTS"),
        ("database", "postgresql:///calls?AUTOCOMMIT=False", "AUTOCOMMIT"),
        ("redis", "localhost:6379", "redis://host"),
        ("redis", "http://localhost", "redis://host"),
        ("redis", "redis:hunter2", "redis://host"),
        ("redis", "redis://:hunter2/0", ""),
        ("redis", "redis://h:port", "redis://host:6379/0"),
        ("redis", "redis://h,h2:6379/0", "of one host"),
        ("redis", "redis://ho st/0", "of one host"),
        ("redis", "unix://run/redis.sock", "of one host"),
        ("redis", "redis://h/0?decode_responses=False", "without decode_responses"),
        ("database", "postgresql://u:hunter2@db/calls/", "one name behind the host"),
        ("database", "postgresql://u:hunter2@db//calls", "one name behind the host"),
        ("redis", "redis://h:0/0", "number of a database"),
        ("redis", "redis://h/zero", "number of a database"),
        ("redis", "redis://h/0?socket_timeout=soon", "socket_timeout"),
        ("redis", "redis://h/0?colour=red", "colour"),
        ("redis", "rediss://h/0?ssl_cert_reqs=perhaps", "required, optional or none"),
        ("redis", "sentinel://a:26379;sentinel://b:26379/0", "not Sentinel's"),
        ("redis", "redis+sentinel://a:26379/0", "not Sentinel's"),
        ("broker", "sentinel://a:26379", "not Sentinel's"),
        ("broker", "kafka://a", "RabbitMQ"),
        ("broker", "amqp://u:hunter2@h:port//", "a port"),
        ("broker", "rabbit", "RabbitMQ"),
    ],
)
def test_the_address_of_a_server_is_refused_in_words_without_its_password(kind, url, words):
    default, problems = read("server", url, "the default", KINDS[kind])
    assert default == "the default"
    [problem] = problems
    assert words in problem
    assert not re.search("hun(ter2|/ter2)", problem), problem


class TestDatabase:
    def test_what_the_address_gives_is_kept(self):
        url = (
            "postgresql://u:p@h:5433/d?connect_timeout=3&application_name=calls&sslmode=verify-full&CONN_MAX_AGE=5"
            "&target_session_attrs=read-write&keepalives_idle=99&options=-c%20lock_timeout%3D5s"
        )
        found = server_urls.database(url)
        given = {name: found[name] for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT", "CONN_MAX_AGE")}
        assert given == {"NAME": "d", "USER": "u", "PASSWORD": "p", "HOST": "h", "PORT": "5433", "CONN_MAX_AGE": 5}
        options = found["OPTIONS"]
        assert (options["connect_timeout"], options["keepalives_idle"], options["keepalives_interval"]) == (
            "3",
            "99",
            "5",
        )
        assert (options["application_name"], options["sslmode"]) == ("calls", "verify-full")
        assert options["target_session_attrs"] == "read-write"
        assert options["options"].startswith("-c idle_in_transaction_session_timeout=30s")
        assert options["options"].endswith(" -c lock_timeout=5s"), "PostgreSQL takes the last one"

    def test_what_it_leaves_out_is_added(self):
        found = server_urls.database("postgresql:///d")
        assert (found["CONN_MAX_AGE"], found["CONN_HEALTH_CHECKS"]) == (600, True)
        assert found["OPTIONS"]["connect_timeout"] == "10"


class TestRedis:
    @pytest.mark.parametrize(
        ("url", "wanted"),
        [
            ("redis://h/0", "redis://h/0"),
            ("rediss://h/0", "rediss://h/0?ssl_cert_reqs=required&ssl_ca_certs=%2Fca.pem"),
            ("rediss://h/0?ssl_ca_certs=/x", "rediss://h/0?ssl_ca_certs=%2Fx&ssl_cert_reqs=required"),
            (
                "rediss://h/0?ssl_cert_reqs=CERT_NONE",
                "rediss://h/0?ssl_cert_reqs=none&ssl_check_hostname=false&ssl_ca_certs=%2Fca.pem",
            ),
        ],
    )
    def test_tls_verifies_unless_the_address_says_otherwise(self, url, wanted):
        assert server_urls.with_tls(url, "/ca.pem") == wanted

    def test_the_broker_has_unix_sockets_in_its_own_way(self):
        assert server_urls.broker("unix:///run/r.sock?db=3", "") == "redis+socket:///run/r.sock?virtual_host=3"
        assert server_urls.broker("amqp://h//", "") == "amqp://h//"
        assert server_urls.broker("redis://:p@h?db=2&socket_timeout=3", "") == "redis://:p@h/2"

    def test_rabbitmq_over_tls_is_verified(self):
        options = server_urls.broker_tls("amqps://u:p@rabbit:5671//", "/ca.pem")
        assert options == {"cert_reqs": 2, "server_hostname": "rabbit", "ca_certs": "/ca.pem"}
        assert server_urls.broker_tls("amqp://u:p@rabbit//", "/ca.pem") is False


# Rules over several variables ----------------------------------------------------------------------------------------

KEY = "k" * 32


class TestSecretKey:
    @pytest.mark.parametrize("given", [f"${KEY}", f"{KEY}#a", f"#{KEY}", f"'{KEY}"])
    def test_it_is_taken_as_it_stands(self, tmp_path: Path, given):
        environment = Environment({"SECRET_KEY": given})
        assert setting_rules.secret_key_and_those_before(environment, tmp_path) == (given, [])
        assert not list(tmp_path.iterdir())
        assert not environment.problems

    @pytest.mark.parametrize(
        "given", [f"{KEY} a", f" {KEY}", f"{KEY} ", f"{KEY} # of 2026", f"{KEY}\N{NO-BREAK SPACE}"]
    )
    def test_one_with_a_blank_is_refused_as_something_slipped_in(self, tmp_path: Path, given):
        environment = Environment({"SECRET_KEY": given})
        setting_rules.secret_key_and_those_before(environment, tmp_path)
        [problem] = environment.problems
        assert problem.startswith("SECRET_KEY is ••••")
        assert "it must be a random text of 32 characters or more, without blanks" in problem
        assert KEY not in problem

    def test_without_one_it_is_made_once(self, tmp_path: Path):
        first, second = (setting_rules.secret_key_and_those_before(Environment({}), tmp_path / "new") for _ in range(2))
        assert first == second
        assert len(first[0]) >= 64

    def test_those_before_are_separated_by_spaces(self, tmp_path: Path):
        environment = Environment({"SECRET_KEY": KEY, "SECRET_KEY_FALLBACKS": f"{KEY}a  {KEY}b"})
        assert setting_rules.secret_key_and_those_before(environment, tmp_path)[1] == [f"{KEY}a", f"{KEY}b"]

    @pytest.mark.parametrize(
        ("values", "words"),
        [
            ({"SECRET_KEY": "hunter2"}, "32 characters or more, without blanks. It signs links"),
            ({"SECRET_KEY": KEY, "SECRET_KEY_FALLBACKS": f"{KEY} hunter2"}, "SECRET_KEY_FALLBACKS is ••••"),
        ],
    )
    def test_a_short_one_is_refused(self, tmp_path: Path, values, words):
        environment = Environment(values)
        setting_rules.secret_key_and_those_before(environment, tmp_path)
        assert words in environment.problems[0]
        assert "hunter2" not in environment.problems[0]

    def test_a_folder_that_can_not_be_written_to_is_named(self, tmp_path: Path):
        (tmp_path / "file").write_text("")
        environment = Environment({})
        setting_rules.secret_key_and_those_before(environment, tmp_path / "file")

        assert "SECRET_KEY is not set: it must be set, as none can be stored at" in environment.problems[0]


class TestPublicUrl:
    @pytest.mark.parametrize(
        ("public", "script_name", "url"),
        [
            ("", "", ""),
            ("", "/calls", ""),
            ("https://a.example", "", "https://a.example"),
            ("https://a.example/calls/", "", "https://a.example/calls"),
            ("https://a.example", "/calls/", "https://a.example/calls"),
            ("https://a.example/calls", "/calls", "https://a.example/calls"),
        ],
    )
    def test_its_path_is_the_prefix(self, public, script_name, url):
        environment = Environment({"PUBLIC_URL": public, "SCRIPT_NAME": script_name})
        assert setting_rules.public_url(environment) == url
        assert not environment.problems

    def test_two_prefixes_are_refused(self):
        environment = Environment({"PUBLIC_URL": "https://a.example/x", "SCRIPT_NAME": "/y"})
        setting_rules.public_url(environment)
        assert "SCRIPT_NAME is '/y': it must be /x, the path of PUBLIC_URL" in environment.problems[0]


MISSPELT = {
    "PUBLIC_URI": "PUBLIC_URL",
    "WEB_PORTS": "WEB_PORT",
    "web_port": "WEB_PORT",
    "MAX_CALL_SECOND": "MAX_CALL_SECONDS",
    "SECRETKEY": "SECRET_KEY",
    "REDIS_PREFFIX": "REDIS_PREFIX",
    "BEHIND_TLS_PROXIES": "BEHIND_TLS_PROXY",
}
OTHERS = [
    "PATH",
    "LANG",
    "TZ",
    "POSTGRES_PASSWORD",
    "AWS_REGION",
    "HTTPS_PROXY",
    "SENTRY_DSN",
    "PGHOST",
    "DEBIAN_FRONTEND",
]


def declared(values: dict[str, str]) -> Environment:
    environment = Environment(values)
    for name in settings.DECLARED:
        environment.text(name)
    return environment


@pytest.mark.parametrize(("name", "meant"), MISSPELT.items())
def test_a_misspelt_name_in_the_file_is_refused_with_the_nearest_one(name, meant):
    environment = declared({name: "1"})
    environment.refuse_misspelt([name], ".env")
    [problem] = environment.problems
    assert problem == (
        f"{name} in .env is no setting, and {meant} is one that may be meant. Correct the name, or remove the line."
    )
    assert environment.misspelt() == {name: meant}


def test_names_of_settings_and_of_other_programs_are_let_through():
    environment = declared(dict.fromkeys([*settings.DECLARED, *OTHERS], "1"))
    environment.refuse_misspelt([*settings.DECLARED, *OTHERS], ".env")
    assert environment.problems == []
    assert environment.misspelt() == {}


@pytest.mark.parametrize("given", ["8000 # web", "8000\t#web"])
def test_a_comment_behind_a_value_is_refused_whatever_its_kind(given):
    environment = Environment({"A": given, "B": given})
    environment.port("A", 1)
    environment.text("B")
    assert len(environment.problems) == 2
    assert all("with nothing behind it, not even a comment" in problem for problem in environment.problems)
