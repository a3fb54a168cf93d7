"""The one exception of this room."""


class DataError(ValueError):
    """Data that cannot be prepared; the message names the file, what is wrong and the remedy."""
