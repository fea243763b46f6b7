raise RuntimeError("at its top")
