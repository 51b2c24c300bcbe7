import numpy as np
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema


def init():
    pass


inputs = StandardPythonParameterType(
    {
        "rows": NumpyParameterType(np.array([[1.5, 2.5]])),
        "names": StandardPythonParameterType([StandardPythonParameterType("x")]),
        "plain": 7,
    }
)


@input_schema("Inputs", inputs)
@input_schema(
    "GlobalParameters",
    StandardPythonParameterType({"method": "predict", "p": StandardPythonParameterType(0.5)}),
)
@output_schema(StandardPythonParameterType({"Results": NumpyParameterType(np.array([1, 2]))}))
def run(Inputs, GlobalParameters=None):
    return [str(Inputs), GlobalParameters]
