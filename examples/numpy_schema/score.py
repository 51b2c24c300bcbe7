"""Declared types: the distance of points from the origin, arrays in and out."""

import numpy as np
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.schema_decorators import input_schema, output_schema

SAMPLE_POINTS = np.array([[3.0, 4.0], [0.0, 1.0]])
SAMPLE_DISTANCES = np.array([5.0, 1.0])


def init():
    pass


@input_schema("points", NumpyParameterType(SAMPLE_POINTS))
@output_schema(NumpyParameterType(SAMPLE_DISTANCES))
def run(points):
    return np.linalg.norm(points, axis=1).tolist()
