def init():
    open("vocabulary.txt")


def run(data):
    return data
