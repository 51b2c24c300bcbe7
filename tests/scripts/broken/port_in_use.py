import socket

def init():
    first = socket.create_server(("127.0.0.1", 0))
    try:
        socket.create_server(first.getsockname())
    finally:
        first.close()


def run(data):
    return data
