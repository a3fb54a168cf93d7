"""The one exception of the project."""


class CraniumError(ValueError):
    """What the user can put right.

    The message is one line that names the file or setting, its value and the remedy; commands print
    it without a traceback. A defect of the code raises anything else and keeps its traceback.
    """
