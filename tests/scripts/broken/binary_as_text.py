import os
import tempfile

def init():
    path = os.path.join(tempfile.mkdtemp(), "model.bin")
    with open(path, "wb") as file:
        file.write(b"\xff\xfe\x80")
    with open(path, encoding="utf-8") as file:
        file.read()


def run(data):
    return data
