import pickle

def init():
    pickle.loads(b"")


def run(data):
    return data
