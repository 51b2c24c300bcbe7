def init():
    model = object()


def run(data):
    return model.predict(data)
