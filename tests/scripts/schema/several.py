from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema


def init():
    pass


@input_schema(param_type=StandardPythonParameterType("x"), param_name="c")
@output_schema(output_type=StandardPythonParameterType(1.5))
@input_schema("a", StandardPythonParameterType(1))
def run(a, b, c, d=4):
    return [a, b, c, d]
