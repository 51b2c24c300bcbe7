import os

from google.protobuf import message

def init():
    pass


def run(data):
    return data
