import pandas as pd
from sklearn.linear_model import LinearRegression

def init():
    global model
    model = LinearRegression().fit(pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 5.0]}), [1.0, 2.0])


def run(data):
    return model.predict(pd.DataFrame({"a": [1.0], "c": [2.0]})).tolist()
