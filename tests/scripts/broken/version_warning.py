import warnings

from sklearn.exceptions import InconsistentVersionWarning

def init():
    warnings.simplefilter("error", InconsistentVersionWarning)
    warnings.warn(InconsistentVersionWarning(estimator_name="Ridge", current_sklearn_version="1.7.0", original_sklearn_version="0.24.2"))


def run(data):
    return data
