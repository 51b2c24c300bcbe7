from sklearn.linear_model import LinearRegression

def init():
    pass


def run(data):
    return LinearRegression().predict([[1.0]])
