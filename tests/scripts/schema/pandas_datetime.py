import pandas as pd
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.schema_decorators import input_schema, output_schema


def init():
    pass


@input_schema(
    "data", PandasParameterType(pd.DataFrame({"when": pd.to_datetime(["2020-01-01"]), "n": [1]}))
)
@output_schema(
    PandasParameterType(pd.DataFrame({"when": pd.to_datetime(["2020-01-01"]), "n": [1]}))
)
def run(data):
    return [[t.kind for t in data.dtypes], list(data.shape), str(data.to_dict())]
