from azureml.core import Workspace

def init():
    pass


def run(data):
    return data
