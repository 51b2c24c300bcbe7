import os

def init():
    global model
    model = open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "model.pkl"), "rb")


def run(data):
    return data
