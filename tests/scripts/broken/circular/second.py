from first import limit


def helper():
    return limit
