def inti():
    pass


def run(data):
    return data
