def init():
    pass


def run(data):
    raise ValueError("pandas dtypes must be int, float or bool.\nFields with bad pandas dtypes: name: object")
