"""Queries of model instances that Django composes once in a process, for what every batch or every request asks.

Django composes a query each time it is run, which is felt where a batch is a few calls, as over HTTP. The query stays
one of Django's: only its text is kept.
"""

from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import Expression, F, Field, Lookup, Model, QuerySet
from django.db.models import query as django_query

Row = TypeVar("Row", bound=Model)


class Given(Expression):
    """A value within a query that each run of it is given, under this name."""

    def __init__(self, name: str, output_field: "Field[Any, Any]") -> None:
        super().__init__(output_field=output_field)
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return "%s", [self]


# Stands for the keys in the query that is composed.
_KEYS = Given("keys", Field())


class IsOneOf(Lookup):
    """`column = ANY(array)`: one parameter for any number of keys, so that the text of the query is always the same.

    Its right side is a `Given`, or what it has when the query is composed.
    """

    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        column, parameters = self.process_lhs(compiler, connection)
        return f"{column} = ANY(%s)", [*parameters, self.rhs]


class ComposedOnce(Generic[Row]):
    """A query by keys. Use it for what every batch or request asks: elsewhere one of Django's is read more easily."""

    def __init__(self, compose: Callable[[], "QuerySet[Row]"], by: str = "pk") -> None:
        """Take the query, to which the condition on the keys is added. It is called when it is first needed.

        Args:
            by: the column of the keys, as Django names it.
        """
        self._compose = compose
        self._by = by

    def of(self, keys: Collection[Any], **given: Any) -> list[Row]:
        """Return the instances with these keys, in the order that the query says. Asks nothing for no keys.

        Args:
            given: the values that the query has a `Given` for.
        """
        return self._run(self._of_keys, given | {_KEYS.name: list(keys)}) if keys else []

    def all(self, **given: Any) -> list[Row]:
        """Return all instances of the query, without a condition on keys."""
        return self._run(self._of_all, given)

    def by_key(self, keys: Collection[Any]) -> dict[Any, Row]:
        """Return those with these primary keys by them, as `in_bulk` does."""
        return {row.pk: row for row in self.of(keys)}

    @cached_property
    def _of_keys(self) -> "_Composed":
        return _Composed(self._compose().filter(IsOneOf(F(self._by), _KEYS)))

    @cached_property
    def _of_all(self) -> "_Composed":
        return _Composed(self._compose())

    @staticmethod
    def _run(composed: "_Composed", given: Mapping[str, Any]) -> list[Row]:
        values = [given[value.name] if isinstance(value, Given) else value for value in composed.parameters]
        with connection.cursor() as cursor:
            cursor.execute(composed.sql, values)
            rows = cursor.fetchall()
        return [composed.instance(row) for row in composed.converted(rows)]


class _Composed:
    """The text of a query, and how its rows become instances: as in Django's own `ModelIterable`."""

    def __init__(self, rows: "QuerySet[Any]") -> None:
        compiler: Any = rows.query.get_compiler(DEFAULT_DB_ALIAS)
        self.sql, self.parameters = compiler.as_sql()
        select, about = compiler.select, compiler.klass_info
        self._compiler, self._model = compiler, about["model"]
        self._converters = compiler.get_converters([expression for expression, _, _ in select])
        self._columns = slice(about["select_fields"][0], about["select_fields"][-1] + 1)
        self._names = [expression.target.attname for expression, _, _ in select[self._columns]]
        populators: Any = django_query.get_related_populators
        self._populators = populators(about, select, DEFAULT_DB_ALIAS)
        self._annotations = compiler.annotation_col_map or {}

    def converted(self, rows: Any) -> Any:
        return self._compiler.apply_converters(rows, self._converters) if self._converters else rows

    def instance(self, row: Any) -> Any:
        made = self._model.from_db(DEFAULT_DB_ALIAS, self._names, row[self._columns])
        for populator in self._populators:
            populator.populate(row, made)
        for name, place in self._annotations.items():
            setattr(made, name, row[place])
        return made
