def init():
    pass


def run(data):
    print "scoring"
    return data
