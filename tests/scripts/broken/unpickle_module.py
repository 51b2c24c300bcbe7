import pickle

import sklearn

def init():
    pickle.loads(b"csklearn.tree.removed\nTree\n.")


def run(data):
    return data
