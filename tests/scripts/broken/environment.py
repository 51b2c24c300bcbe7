import os

def init():
    key = os.environ["SERVICE_ENDPOINT_KEY"]


def run(data):
    return data
