"""The one kind of error that is meant for the user's eyes."""


class InputError(ValueError):
    """What the user gave, or the machine it runs on, cannot do what was asked.

    The message is one clear sentence: what is wrong, with which file or value, and what to do. Faces (CLI, panel)
    show it as it is, without a traceback; every other exception is a fault of the program.
    """
