from inference_schema.parameter_types.abstract_parameter_type import AbstractParameterType
from inference_schema.schema_decorators import input_schema, output_schema


class Temperature(AbstractParameterType):
    calls = 0

    def __init__(self):
        super().__init__(None)

    def deserialize_input(self, input_data):
        Temperature.calls += 1
        if not isinstance(input_data, (int, float)):
            raise LookupError(f"secret {input_data}")
        return ("celsius", input_data)

    def input_to_swagger(self):
        return {"type": "number", "format": "celsius", "example": 21.5}


def init():
    pass


@input_schema("data", Temperature())
@output_schema(Temperature())
def run(data):
    return [list(data), Temperature.calls]
