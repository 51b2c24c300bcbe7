from sklearn.linear_model import LinearRegression

def init():
    global model
    model = LinearRegression().fit([[1.0, 2.0], [3.0, 5.0]], [1.0, 2.0])


def run(data):
    return model.predict([[1.0, 2.0, 3.0]]).tolist()
