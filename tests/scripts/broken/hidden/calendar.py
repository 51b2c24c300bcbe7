def holidays():
    return []
