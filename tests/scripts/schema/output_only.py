from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema


def init():
    pass


@output_schema(StandardPythonParameterType({"label": "x"}))
def run(data, scale=2):
    return [data, scale]
