def scale(value):
    # Nobody sends zero.
    return 1 / 0
