"""Schema mode: one parameter of each standard type, each optional."""

import datetime

from inference_schema.parameter_types.standard_py_parameter_type import (
    StandardPythonParameterType as Standard,
)
from inference_schema.schema_decorators import input_schema, output_schema


def init():
    pass


@input_schema("i", Standard(1), optional=True)
@input_schema("f", Standard(1.5), optional=True)
@input_schema("s", Standard("text"), optional=True)
@input_schema("b", Standard(True), optional=True)
@input_schema("items", Standard([1, 2]), optional=True)
@input_schema("table", Standard({"a": 1}), optional=True)
@input_schema("octets", Standard(b"ab"), optional=True)
@input_schema("moment", Standard(datetime.datetime(2020, 1, 2, 3, 4)), optional=True)
@input_schema("clock", Standard(datetime.time(3, 4)), optional=True)
@input_schema("day", Standard(datetime.date(2020, 1, 2)), optional=True)
@output_schema(Standard({"name": "repr"}))
def run(
    i=None,
    f=None,
    s=None,
    b=None,
    items=None,
    table=None,
    octets=None,
    moment=None,
    clock=None,
    day=None,
    anything=None,
):
    return {name: repr(value) for name, value in locals().items() if value is not None}
