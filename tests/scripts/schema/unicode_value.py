from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema


def init():
    pass


@input_schema("data", StandardPythonParameterType('\u00e9 "quoted" \\ \n'))
@output_schema(StandardPythonParameterType('\u00e9 "quoted" \\ \n'))
def run(data):
    return [type(data).__name__, str(data)]
