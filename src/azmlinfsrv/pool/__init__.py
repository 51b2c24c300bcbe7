"""The front end's side of the wall: queue, dispatch, supervision. May import worker's frames."""
