import numpy as np
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.schema_decorators import input_schema, output_schema


def init():
    pass


@input_schema(
    "data", NumpyParameterType(np.array(["2020-01-02", "2020-01-03"], dtype="datetime64[s]"))
)
@output_schema(NumpyParameterType(np.array(["2020-01-02", "2020-01-03"], dtype="datetime64[s]")))
def run(data):
    return [str(data.dtype), list(data.shape), str(data.tolist())]
