import flask

def init():
    flask.request.headers


def run(data):
    return data
