from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema


def init():
    pass


@input_schema("data", StandardPythonParameterType(bytearray(b"ab")))
@output_schema(StandardPythonParameterType(bytearray(b"ab")))
def run(data):
    return [type(data).__name__, str(data)]
