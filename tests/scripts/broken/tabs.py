def init():
    first = 1
	second = 2


def run(data):
    return data
