PATH = "C:\Users\ann\model.pkl"
