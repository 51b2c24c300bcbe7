def init():
    pass


def run(data):
    return data.encode() + "suffix".encode().replace("s", "t")
