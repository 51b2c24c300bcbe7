import numpy as np
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.schema_decorators import input_schema, output_schema


def init():
    pass


@input_schema("data", NumpyParameterType(np.array([[1.0, 2.0]]), enforce_shape=False))
@output_schema(NumpyParameterType(np.array([[1.0, 2.0]]), enforce_shape=False))
def run(data):
    return [str(data.dtype), list(data.shape), str(data.tolist())]
