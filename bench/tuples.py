"""Columns of numbers as Postgres's binary COPY wants them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END = b"\xff\xff"

VECTOR = np.dtype([("dimensions", ">i2"), ("unused", ">i2"), ("numbers", ">f4", 384)])


def pack(*columns: NDArray[Any]) -> bytes:
    """Return the rows of columns of one length, without HEAD and END.

    A column holds its values as Postgres receives them: V16 a UUID, >i8 a time, VECTOR a vector.
    One of text (S) must be the last: there, and only there, values may differ in length.
    """
    fields: list[tuple[str, Any]] = [("count", ">i2")]
    for place, column in enumerate(columns):
        fields += [(f"length {place}", ">i4"), (f"value {place}", column.dtype)]
    rows = np.zeros(len(columns[0]), dtype=fields)
    rows["count"] = len(columns)
    for place, column in enumerate(columns):
        rows[f"length {place}"] = column.dtype.itemsize
        rows[f"value {place}"] = column
    if columns[-1].dtype.kind != "S":
        return rows.tobytes()
    lengths = np.strings.str_len(columns[-1])
    rows[f"length {len(columns) - 1}"] = lengths
    cells = rows.view(np.uint8).reshape(len(rows), -1)
    ends = cells.shape[1] - columns[-1].dtype.itemsize + lengths
    return cells[np.arange(cells.shape[1]) < ends[:, None]].tobytes()
