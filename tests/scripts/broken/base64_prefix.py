import base64

def init():
    pass


def run(data):
    return base64.b64decode("data:image/png;base64,iVBO", validate=True)
