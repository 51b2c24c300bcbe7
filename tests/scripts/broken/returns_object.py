class Result:
    pass

def init():
    pass


def run(data):
    result = Result()
    return {"rows": [1, result]}
