async def fetch(key):
    return {"score": key}

def init():
    pass


def run(data):
    result = fetch(data)
    return result.score
