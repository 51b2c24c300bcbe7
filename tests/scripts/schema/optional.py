from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema


def init():
    pass


@input_schema("b", StandardPythonParameterType(1), optional=True)
@input_schema("a", StandardPythonParameterType(1))
def run(a, b=None):
    return [a, b]
