from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema


def init():
    pass


@input_schema("data", StandardPythonParameterType(b"ab"), convert_to_provided_type=False)
@output_schema(StandardPythonParameterType("x"))
def run(data):
    return data
