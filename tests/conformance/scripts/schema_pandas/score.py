"""Schema mode: pandas samples."""

import pandas as pd
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.schema_decorators import input_schema

SAMPLE = pd.DataFrame({"n": [1], "x": [1.5], "name": ["a"]})
SPLIT = pd.DataFrame({"a": [1, 2], "b": [3, 4]})


def init():
    pass


@input_schema("rows", PandasParameterType(SAMPLE), optional=True)
@input_schema("split", PandasParameterType(SPLIT, orient="split"), optional=True)
def run(rows=None, split=None):
    frame = rows if rows is not None else split
    return {"dtypes": [str(kind) for kind in frame.dtypes], "values": frame.values.tolist()}
