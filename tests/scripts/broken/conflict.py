<<<<<<< HEAD
LIMIT = 1
=======
LIMIT = 2
>>>>>>> other
