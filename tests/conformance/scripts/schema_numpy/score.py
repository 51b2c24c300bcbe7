"""Schema mode: NumPy samples."""

import numpy as np
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.schema_decorators import input_schema, output_schema


def init():
    pass


@input_schema("whole", NumpyParameterType(np.array([[1, 2, 3]], dtype="int64")), optional=True)
@input_schema("free", NumpyParameterType(np.array([[1.5]]), enforce_shape=False), optional=True)
@output_schema(NumpyParameterType(np.array([3726.995])))
def run(whole=None, free=None):
    value = whole if whole is not None else free
    return {"dtype": str(value.dtype), "shape": value.shape, "values": value.tolist()}
