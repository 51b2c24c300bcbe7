def init():
    pass


def run(data):
    return np.array(data)
