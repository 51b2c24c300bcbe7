from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema


def init():
    pass


@input_schema("a", StandardPythonParameterType(1))
@output_schema(StandardPythonParameterType({"r": [1, "x"]}))
def run(a):
    return {"r": [a, "x"]}
