"""Sets the clock that PostgreSQL tells the processes under test.

PostgreSQL looks for a function in the order of `search_path`, so one of ours may stand in front of its own.
"""

import psycopg

INSTALL = """
    CREATE SCHEMA IF NOT EXISTS chaos;
    CREATE TABLE IF NOT EXISTS chaos.clock (ahead interval NOT NULL);
    DELETE FROM chaos.clock;
    INSERT INTO chaos.clock VALUES (interval '0');
    CREATE OR REPLACE FUNCTION chaos.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
        'SELECT pg_catalog.clock_timestamp() + (SELECT ahead FROM chaos.clock)';
    DO $$ BEGIN
        EXECUTE format('ALTER DATABASE %I SET search_path = public, chaos, pg_catalog', current_database());
    END $$;
"""


def install(url: str) -> None:
    """Let the database have a clock that can be set, for every session from now on."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(INSTALL)


def set_ahead(url: str, seconds: float) -> None:
    """Set its clock, in seconds ahead of the machine's."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE chaos.clock SET ahead = make_interval(secs => %s)", [seconds])
