from second import helper

limit = 1
