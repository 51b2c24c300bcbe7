"""Schema mode as the designer writes it: Inputs and GlobalParameters."""

import numpy as np
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.standard_py_parameter_type import (
    StandardPythonParameterType as Standard,
)
from inference_schema.schema_decorators import input_schema, output_schema


def init():
    pass


@input_schema(
    param_name="Inputs",
    param_type=Standard({"data": NumpyParameterType(np.array([[1, 2]])), "note": Standard("n")}),
)
@input_schema("GlobalParameters", Standard(1.0), optional=True)
@output_schema(output_type=Standard({"Results": [1.0]}))
def run(Inputs, GlobalParameters=2.0):  # noqa: N803  # the designer's names
    kinds = {name: type(value).__name__ for name, value in Inputs.items()}
    return {"kinds": kinds, "parameters": GlobalParameters}
