from sklearn.preprocessing import StandardScaler

def init():
    pass


def run(data):
    model = StandardScaler().fit([[1.0], [2.0]])
    model.__dict__["_sklearn_version"] = "0.24.2"
    return model.clipped
