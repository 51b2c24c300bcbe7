count = 0

def init():
    pass


def run(data):
    count = count + 1
    return count
