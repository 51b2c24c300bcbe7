def init():
    pass


def Run(data):
    return data
