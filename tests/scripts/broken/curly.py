NAME = “model”
