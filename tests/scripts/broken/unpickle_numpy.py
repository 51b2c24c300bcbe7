import pickle

def init():
    pickle.loads(b"cnumpy.core_of_tomorrow\nscalar\n.")


def run(data):
    return data
