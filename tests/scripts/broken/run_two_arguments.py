def init():
    pass


def run(data, threshold):
    return data
