raise ModuleNotFoundError("No module named 'imp'", name="imp")
