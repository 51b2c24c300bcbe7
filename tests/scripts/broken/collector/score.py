from azureml.ai.monitoring import Collector

def init():
    Collector(name="model_inputs")


def run(data):
    return data
