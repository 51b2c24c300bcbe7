X = 1
NAME = "café"
