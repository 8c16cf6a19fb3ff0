"""Reads `config/literature/`; the only reader."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from wsa.errors import InputError, did_you_mean
from wsa.layout import Layout
from wsa.literature.schema import Literature, Model, Number, PublishedMethod, Row, Table, Task
from wsa.suite.load import load_data, load_model, read_yaml
from wsa.suite.strict import Strict, check


def read_literature(layout: Layout) -> Literature | None:
    """The published record; None where the configuration has none.

    Raises:
        InputError: names file, row and column, and what would be right.
    """
    if not layout.literature.is_dir():
        return None
    methods = _mapping(layout.published_methods, PublishedMethod)
    tasks = {
        name: _sized_task(task, layout) for name, task in _mapping(layout.published_tasks, Task)
    }
    models = {
        name: _sized_model(name, model, layout)
        for name, model in _mapping(layout.published_models, Model)
    }
    return _joined(layout, dict(methods), tasks, models)


def _joined(
    layout: Layout,
    methods: dict[str, PublishedMethod],
    tasks: dict[str, Task],
    models: dict[str, Model],
) -> Literature:
    tables: dict[str, Table] = {}
    for place, table in _lines(layout.published_tables, Table):
        if table.table in tables:
            raise InputError("a table is named twice", file=place, value=table.table)
        _known(place, "model", table.model, models)
        tables[table.table] = table
    for name, method in methods.items():
        for table in method.tables:
            _known(layout.published_methods, f"{name}.tables", table, tables)
    rows: dict[str, Row] = {}
    for place, number in _lines(layout.published_numbers, Number):
        for column, value, choices in (
            ("table", number.table, tables),
            ("method", number.method, methods),
            ("task", number.task, tasks),
            ("copied_from", number.copied_from, tables),
        ):
            if value is not None:
                _known(place, column, value, choices)
        if number.copied_from == number.table:
            raise InputError("a table cannot copy from itself", file=place, key="copied_from")
        table = tables[number.table]
        row = Row(number, table, methods[number.method], tasks[number.task], models[table.model])
        if row.id in rows:
            raise InputError(
                "stands here twice: same table, method, task and metric", file=place, value=row.id
            )
        rows[row.id] = row
    return Literature(tables, methods, tasks, models, tuple(rows.values()))


def _known(place: str | Path, key: str, value: str, choices: dict[str, Any]) -> None:
    if value not in choices:
        raise InputError(
            "is unknown", file=place, key=key, value=value, remedy=did_you_mean(value, choices)
        )


def _mapping(path: Path, kind: type[Strict]) -> Iterator[tuple[str, Any]]:
    """The entries of a YAML file of names."""
    for name, raw in read_yaml(path).items():
        yield name, check(kind, raw if isinstance(raw, dict) else {"": raw}, f"{path}: {name}")


def _lines(path: Path, kind: type[Strict]) -> Iterator[tuple[str, Any]]:
    """(where, typed row) of every row of a CSV file; an empty cell is one that says nothing."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            header, lines = reader.fieldnames or [], list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot be read: {error}", file=path) from None
    if sorted(header) != sorted(kind.model_fields):
        raise InputError(
            "should have the columns " + ", ".join(kind.model_fields), file=path,
            value=",".join(header),
        )  # fmt: skip
    for count, line in enumerate(lines, start=2):
        place = f"{path}, line {count}"
        if None in line or None in line.values():
            raise InputError(
                "has not as many cells as the first line", file=place,
                remedy="a text with a comma in it stands in double quotes",
            )  # fmt: skip
        yield place, check(kind, {key: _cell(kind, key, line[key]) for key in header}, place)


def _cell(kind: type[Strict], key: str, text: str) -> object:
    """What a cell of a column says, in the column's type where it can be read as that."""
    accepted = get_args(kind.model_fields[key].annotation) or (str,)
    if not text and type(None) in accepted:
        return None
    return int(text) if int in accepted and text.isdecimal() else text


def _sized_task(task: Task, layout: Layout) -> Task:
    """The task with the number of its sentences, where it is known which they are."""
    if task.split or task.sentences:
        return task
    size = load_data(task.data, layout.config).size
    return task.model_copy(update={"sentences": size.validation.sentences if size else None})


def _sized_model(name: str, model: Model, layout: Layout) -> Model:
    if model.size:
        return model
    return model.model_copy(update={"size": load_model(name, layout.config).size})
