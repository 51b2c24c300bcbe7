import os

def init():
    path = os.environ["AZUREML_MODEL_DIR"]


def run(data):
    return data
