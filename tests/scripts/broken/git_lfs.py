import pickle

def init():
    pickle.loads(b"version https://git-lfs.github.com/spec/v1")


def run(data):
    return data
