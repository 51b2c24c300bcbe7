import numpy as np
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.schema_decorators import input_schema, output_schema


def init():
    pass


@input_schema("data", NumpyParameterType(np.array([[1, 2, 3], [4, 5, 6]], dtype=np.float32)))
@output_schema(NumpyParameterType(np.array([[1, 2, 3], [4, 5, 6]], dtype=np.float32)))
def run(data):
    return [str(data.dtype), list(data.shape), str(data.tolist())]
