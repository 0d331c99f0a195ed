"""Move a status by compare-and-set, with a history row, in one SQL statement however many rows move.

A module that owns a status holds the legal moves as a table and one StateMachine. A row whose status no longer allows
the move is left alone and not returned as moved: so late, repeated and out-of-order news changes nothing.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from django.db import connection, models

Key = Any  # int or UUID, as the model's primary key


class History(models.Model):
    """One row per move of a status, written by the statement that moves it."""

    from_status = models.CharField(max_length=16)
    to_status = models.CharField(max_length=16)
    reason = models.CharField(max_length=255, blank=True)
    at = models.DateTimeField()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.from_status} → {self.to_status}"


@dataclass(frozen=True)
class Move:
    """One row's new status, the reason, and the columns that change with it (the same ones in a whole batch)."""

    pk: Key
    to: str
    reason: str = ""
    columns: Mapping[str, Any] = field(default_factory=dict)

    def apply_to(self, row: models.Model) -> None:
        """Give a loaded row the values that the move has stored."""
        for name, value in (("status", self.to), *self.columns.items()):
            setattr(row, name, value)


class StateMachine:
    """The only writer of `model.status`.

    Args:
        legal: the statuses that each status may become. A status that is absent is final.
    """

    def __init__(self, model: type[models.Model], history: type[History], legal: Mapping[str, Iterable[str]]) -> None:
        self.model = model
        self.history = history
        self.legal = {str(before): frozenset(map(str, after)) for before, after in legal.items()}

    def allows(self, before: str, after: str) -> bool:
        """Tell whether a row in status `before` may move to `after`."""
        return after in self.legal.get(before, frozenset())

    def move(self, moves: Sequence[Move], *, at: datetime, only_from: Collection[str] | None = None) -> set[Key]:
        """Make every move that is legal from the row's present status. Returns the primary keys that moved.

        Args:
            only_from: leave rows alone whose status is none of these, although the move would be legal.
        """
        if not moves:
            return set()
        names = ["status", *moves[0].columns]
        values = {"why": [move.reason for move in moves], "status": [move.to for move in moves]}
        values |= {name: [move.columns[name] for move in moves] for name in names[1:]}
        # A value that is the same in all moves is sent once: with five hundred moves that saves most of the parameters.
        same = {name: column[0] for name, column in values.items() if all(value == column[0] for value in column)}
        given = {name: column for name, column in values.items() if name not in same}
        chosen = ", ".join(f"%s::{self._type(name)} AS {name}" if name in same else name for name in values)
        keys = ", ".join(f"%s::{self._type(name)}[]" for name in (self._pk, *given))
        wanted = f"SELECT pk, {chosen} FROM unnest({keys}) AS given({', '.join(['pk', *given])})"  # noqa: S608
        pairs = [
            (before, after)
            for before, afters in self.legal.items()
            for after in afters
            if only_from is None or before in only_from
        ]
        return self._apply(wanted, [*same.values(), [move.pk for move in moves], *given.values()], names, pairs, at)

    def move_all(
        self,
        rows: "models.QuerySet[Any]",
        to: str,
        *,
        before: Iterable[str],
        at: datetime,
        reason: str = "",
        **columns: Any,
    ) -> set[Key]:
        """Move the rows of the query whose status is still one of `before`. Returns the primary keys that moved.

        Raises:
            ValueError: a move from one of `before` is not legal. That is a mistake in the program.
        """
        pairs = [(str(status), str(to)) for status in before]
        for pair in pairs:
            if not self.allows(*pair):
                raise ValueError(f"{self.model.__name__} may not go from {pair[0]} to {pair[1]}")
        names = ["status", *columns]
        chosen, chosen_params = rows.order_by().values("pk").query.sql_with_params()
        values = ", ".join(f"%s::{self._type(name)}" for name in names)
        rows_wanted = f"SELECT chosen.*, %s::text, {values} FROM ({chosen}) AS chosen"  # noqa: S608
        wanted = f"SELECT * FROM ({rows_wanted}) AS wanted(pk, why, {', '.join(names)})"  # noqa: S608
        return self._apply(wanted, [reason, to, *columns.values(), *chosen_params], names, pairs, at)

    def _apply(
        self,
        wanted: str,
        params: Sequence[Any],
        names: Sequence[str],
        pairs: Sequence[tuple[str, str]],
        at: datetime,
    ) -> set[Key]:
        """Run the statement. `before` locks in key order, so two batches over the same rows do not deadlock.

        Each step joins only the one before it with the table, by its key. A join of two steps with each other compares
        each row with each, where the planner expects few of them, as it does before a table has statistics.
        """
        table, log, pk = (
            self._quote(name) for name in (self.model._meta.db_table, self.history._meta.db_table, self._pk)
        )
        assignments = ", ".join(f"{self._quote(self._column(name))} = before.{name}" for name in names)
        sql = f"""
            WITH wanted AS MATERIALIZED ({wanted}),
            before AS MATERIALIZED (
                SELECT wanted.*, row.status AS from_status FROM wanted JOIN {table} AS row ON row.{pk} = wanted.pk
                WHERE row.status || '>' || wanted.status = ANY(%s) ORDER BY row.{pk} FOR UPDATE OF row
            ),
            moved AS (
                UPDATE {table} AS row SET {assignments} FROM before WHERE row.{pk} = before.pk
                RETURNING before.pk, before.from_status, before.status AS to_status, before.why
            ),
            written AS (
                INSERT INTO {log} (subject_id, from_status, to_status, reason, at)
                SELECT pk, from_status, to_status, left(why, 255), %s FROM moved
            )
            SELECT pk FROM moved
        """  # noqa: S608 -- every name comes from a model or a keyword argument, every value is a parameter
        with connection.cursor() as cursor:
            cursor.execute(sql, [*params, [f"{before}>{after}" for before, after in pairs], at])
            return {row[0] for row in cursor.fetchall()}

    @property
    def _pk(self) -> str:
        return str(self.model._meta.pk.column)

    def _column(self, name: str) -> str:
        return str(self.model._meta.get_field(name).column)  # type: ignore[union-attr]

    def _type(self, name: str) -> str:
        return "text" if name == "why" else _type_of(self.model, name)  # the reason is a column of the history

    @staticmethod
    def _quote(name: str) -> str:
        return connection.ops.quote_name(name)


@cache  # asked for each column of each batch, and Django takes a while to tell
def _type_of(model: type[models.Model], name: str) -> str:
    """Return the column's type in SQL."""
    # rel_db_type, because the db_type of a serial key is that of a column with a default.
    kind = model._meta.get_field(name).rel_db_type(connection)  # type: ignore[union-attr]
    return str(kind).split("(")[0]
