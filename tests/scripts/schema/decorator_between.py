import functools

from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema


def init():
    pass


def shout(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return [function(*args, **kwargs), "!"]

    return inner


@input_schema("a", StandardPythonParameterType(1))
@shout
@input_schema("b", StandardPythonParameterType("x"))
@output_schema(StandardPythonParameterType([1]))
def run(a, b):
    return [a, b]
