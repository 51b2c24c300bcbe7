"""A scoring process: user code only, never HTTP. May import script and everything left of it."""
