import pickle

def init():
    pickle.loads(b"c__main__\nScaler\n.")


def run(data):
    return data
