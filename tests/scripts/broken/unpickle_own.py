import pickle

def init():
    pickle.loads(b"cour_training_code.layers\nNet\n.")


def run(data):
    return data
