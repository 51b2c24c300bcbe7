import os

def init():
    open(os.environ["AZUREML_MODEL_DIR"], "rb")


def run(data):
    return data
