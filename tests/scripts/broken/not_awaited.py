async def fetch(key):
    return {"score": key}

def init():
    pass


def run(data):
    return fetch(data)["score"]
