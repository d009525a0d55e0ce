"""Foundation models: opening, describing, preprocessing; ``foundation.open_model`` is the way in."""
