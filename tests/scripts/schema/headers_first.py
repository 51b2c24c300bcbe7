from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema


def init():
    pass


@output_schema(StandardPythonParameterType(1))
@input_schema("a", StandardPythonParameterType(1))
def run(request_headers, a, b=2):
    return [a, b, type(request_headers).__name__]
