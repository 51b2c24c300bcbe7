from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema


def init():
    pass


row = StandardPythonParameterType(
    {"n": StandardPythonParameterType(1), "raw": StandardPythonParameterType(b"ab")}
)


@input_schema("data", StandardPythonParameterType([row]))
def run(data):
    return str(data)
