"""Writes and reads the data set of a run: Parquet files, and `run.json`.

The same rows give the same bytes. The number of rows in memory is limited, whatever the size of the fleet.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, asdict, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_type_hints

from ftaudit.errors import InputError, UsageError
from ftaudit.fleet.plain_names import escape
from ftaudit.fleet.schema import SCHEMA_VERSION, TABLES, Column, ColumnType, DataTable, RunInfo
from ftaudit.model.plain import from_plain
from ftaudit.whole_files import write_whole

if TYPE_CHECKING:
    import pyarrow

RUN_FILE: Final = "run.json"
ROWS_IN_GROUP: Final = 20_000
"""Rows of a row group: so many are in memory at a time, for each table and target."""
ROWS_IN_FILE: Final = 1_000_000


def require_pyarrow() -> None:
    """Raise `UsageError` if pyarrow is not installed."""
    if importlib.util.find_spec("pyarrow") is None:
        raise UsageError("a data set needs pyarrow", hint="pip install 'ftaudit[fleet]'")


def arrow_schema(table: DataTable) -> pyarrow.Schema:
    """Return the Arrow schema of a table's files, with the meaning of each column as metadata."""
    import pyarrow

    types = {
        ColumnType.STRING: pyarrow.string(),
        ColumnType.STRINGS: pyarrow.list_(pyarrow.field("item", pyarrow.string(), nullable=False)),
        ColumnType.INTEGER: pyarrow.int64(),
        ColumnType.BOOLEAN: pyarrow.bool_(),
        ColumnType.TIME: pyarrow.timestamp("us", tz="UTC"),
    }
    columns = (
        pyarrow.field(column.name, types[column.type], nullable=column.nullable, metadata={"about": column.about})
        for column in table.columns
    )
    return pyarrow.schema(list(columns), metadata={"about": table.about, "schema": str(SCHEMA_VERSION)})


class DataSetWriter:
    """Writes rows to the files of a data set. A context manager; rows must come in the order of the table's key."""

    def __init__(self, folder: Path) -> None:
        require_pyarrow()
        self.folder = folder
        self.rows: dict[str, int] = {table.name: 0 for table in TABLES}
        self._open: dict[tuple[str, str], _Part] = {}

    def __enter__(self) -> DataSetWriter:
        return self

    def __exit__(self, *_: object) -> None:
        for part in self._open.values():
            part.close()
        self._open.clear()

    def add(self, table: DataTable, target: str, row: Mapping[str, Any]) -> None:
        """Write one row, which has a value for each column; a missing one is null. Raise `OSError` if the disk is
        full.
        """
        self._part(table, target).add(row)
        self.rows[table.name] += 1

    def _part(self, table: DataTable, target: str) -> _Part:
        key = table.name, target
        if key not in self._open:
            self._open[key] = _Part(self.folder / table.name / f"target={target}", table)
        return self._open[key]

    def finish(self, info: RunInfo) -> None:
        """Close the files, and write `run.json`: its presence means that the data set is complete.

        A table without a row for a target has an empty file, so that queries find its columns.
        """
        for table in TABLES:
            for target in info.targets:
                if (table.name, target) not in self._open:
                    self._part(table, target).write()
        self.__exit__()
        write_whole(self.folder / RUN_FILE, f"{json.dumps(asdict(info), indent=2)}\n".encode(), mode=0o644)


class _Part:
    """The files of one table and target."""

    def __init__(self, folder: Path, table: DataTable) -> None:
        self._folder = folder
        self._table = table
        self._schema = arrow_schema(table)
        self._waiting: list[Mapping[str, Any]] = []
        self._number = self._rows = 0
        self._writer: Any = None

    def add(self, row: Mapping[str, Any]) -> None:
        self._waiting.append(row)
        if len(self._waiting) >= ROWS_IN_GROUP:
            self.write()

    def close(self) -> None:
        if self._waiting:
            self.write()
        self._end()

    def write(self) -> None:
        """Write the waiting rows as a row group."""
        import pyarrow
        import pyarrow.parquet

        if self._writer is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / f"part-{self._number:05}.parquet"
            self._writer = pyarrow.parquet.ParquetWriter(path, self._schema, compression="zstd")
        columns = [
            _array(column, [row.get(column.name) for row in self._waiting], field.type)
            for column, field in zip(self._table.columns, self._schema, strict=True)
        ]
        self._writer.write_batch(pyarrow.record_batch(columns, schema=self._schema))
        self._rows += len(self._waiting)
        self._waiting = []
        if self._rows >= ROWS_IN_FILE:
            self._end()

    def _end(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer, self._rows = None, 0
            self._number += 1


def _array(column: Column, values: list[Any], kind: Any) -> Any:
    """Return a column of a row group; raise `ValueError` if a value is missing that must be there."""
    import pyarrow

    if not column.nullable and None in values:
        raise ValueError(f"the column {column.name} has no value")
    if column.type is not ColumnType.TIME:
        with contextlib.suppress(UnicodeEncodeError):
            return pyarrow.array(values, type=kind)
    return pyarrow.array([_cell(column, value) for value in values], type=kind)


def _cell(column: Column, value: Any) -> Any:
    """Return a value as the column holds it."""
    match value:
        case str() if column.type is ColumnType.TIME:
            return datetime.fromisoformat(value)
        case str():  # A name of a file is not always valid text.
            return escape(value)
        case list() | tuple():
            return [_cell(column, each) for each in value]
        case _:
            return value


_ALWAYS: Final = frozenset(
    field.name for field in fields(RunInfo) if field.default is MISSING and field.default_factory is MISSING
)
"""The fields that every run has."""


def read_run(folder: Path) -> RunInfo:
    """Return what is known of the run; raise `InputError` if the folder has no complete data set of this version."""
    hint = "specify the folder that `ftaudit fleet check` or `ftaudit fleet survey` wrote to"
    try:
        found = json.loads((folder / RUN_FILE).read_bytes())
    except OSError as error:
        raise InputError(f"{folder} has no complete data set", hint=hint) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{folder / RUN_FILE} is not JSON", hint=hint) from error
    schema = found.get("schema") if isinstance(found, dict) else None
    if isinstance(schema, int) and schema > SCHEMA_VERSION:
        raise InputError(
            (
                f"{folder} has a data set of schema {schema}, but this version of ftaudit reads only up to "
                f"{SCHEMA_VERSION}"
            ),
            hint="upgrade ftaudit",
        )
    try:
        # An older run has no field that was added since.
        known = {name: hint for name, hint in get_type_hints(RunInfo).items() if name in {*found, *_ALWAYS}}
        return RunInfo(**{name: from_plain(hint, found[name], named=False) for name, hint in known.items()})
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{folder / RUN_FILE} was not written by ftaudit", hint=hint) from error


def read_rows(folder: Path, table: DataTable) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table, each with its `target`, target by target in the order of the table's key.

    Columns that an older ftaudit did not write are missing. Raise `InputError` for a file that is not Parquet, or that
    has a column of another type.
    """
    require_pyarrow()
    import pyarrow
    import pyarrow.parquet

    schema = arrow_schema(table)
    for place in sorted((folder / table.name).glob("target=*")):
        target = place.name.partition("=")[2]
        for path in sorted(place.glob("part-*.parquet")):
            try:
                with contextlib.closing(pyarrow.parquet.ParquetFile(path)) as file:
                    for batch in file.iter_batches(ROWS_IN_GROUP):
                        _check_columns(batch, schema)
                        yield from ({"target": target, **row} for row in batch.to_pylist())
            except (pyarrow.ArrowException, OSError, TypeError) as error:
                raise InputError(f"{path} cannot be read: {error}", hint="create the data set again") from error


def _check_columns(batch: pyarrow.RecordBatch, schema: pyarrow.Schema) -> None:
    """Raise `TypeError` for a column that has another type than its table's, or no value where one must be."""
    for field, column in zip(batch.schema, batch.columns, strict=True):
        place = schema.get_field_index(field.name)
        if place < 0:
            continue
        wanted = schema.field(place)
        if field.type != wanted.type:
            raise TypeError(f"the column {field.name} has the type {field.type}, not {wanted.type}")
        if column.null_count and not wanted.nullable:
            raise TypeError(f"the column {field.name} has a row without a value")
