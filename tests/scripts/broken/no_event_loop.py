import asyncio


def init():
    pass


def run(data):
    return asyncio.get_running_loop()
