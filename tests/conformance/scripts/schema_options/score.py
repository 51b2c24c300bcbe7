"""Schema mode: options of the decorators, request_headers, an undecorated parameter."""

from inference_schema.parameter_types.abstract_parameter_type import AbstractParameterType
from inference_schema.parameter_types.standard_py_parameter_type import (
    StandardPythonParameterType as Standard,
)
from inference_schema.schema_decorators import input_schema


class Celsius(AbstractParameterType):
    """A user's own type."""

    def __init__(self):
        super().__init__(None)

    def deserialize_input(self, input_data):
        return f"{input_data} °C"

    def input_to_swagger(self):
        return {"type": "number", "example": 20.5}

    def supported_versions(self):
        return ["2.0", "3.0", "3.1"]


def init():
    pass


@input_schema("needed", Standard(1))
@input_schema("maybe", Standard(1), optional=True)
@input_schema("as_sent", Standard(1), convert_to_provided_type=False)
@input_schema("warmth", Celsius())
def run(needed, request_headers, undecorated="default", maybe=7, as_sent="unset", warmth=20):
    return {
        "needed": needed,
        "undecorated": undecorated,
        "maybe": maybe,
        "as_sent": as_sent,
        "warmth": warmth,
        "host": request_headers["Host"],
    }
