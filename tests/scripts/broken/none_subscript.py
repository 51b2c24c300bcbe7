settings = None

def init():
    pass


def run(data):
    return settings["limit"]
