"""It declares a list of numbers and returns their sum."""

from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema


def init():
    pass


@input_schema("values", StandardPythonParameterType([1.5, 2.5]))
@output_schema(StandardPythonParameterType([1.5, 2.5]))
def run(values):
    return sum(value for value in values if isinstance(value, float))
