import pandas as pd
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.schema_decorators import input_schema, output_schema


def init():
    pass


@input_schema(
    "data",
    PandasParameterType(
        pd.DataFrame({"b": [1, 2], "a": ["x", "y"], "c": [1.5, 2.5]}), orient="values"
    ),
)
@output_schema(
    PandasParameterType(
        pd.DataFrame({"b": [1, 2], "a": ["x", "y"], "c": [1.5, 2.5]}), orient="values"
    )
)
def run(data):
    return [[t.kind for t in data.dtypes], list(data.shape), data.to_json()]
