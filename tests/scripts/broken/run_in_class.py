def init():
    pass


class Model:
    def run(self, data):
        return data
