"""Text mode: says what arrived."""


def init():
    pass


def run(data):
    print("run was called")
    return {"type": type(data).__name__, "text": data}
